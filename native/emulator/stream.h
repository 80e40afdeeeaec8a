// Contexts, streams and what streams capture (stream.cpp).
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace emulator {

enum Result {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  FILE_NOT_FOUND = 301,
  INVALID_HANDLE = 400,
  ILLEGAL_STATE = 401,
  NOT_FOUND = 500,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_OUT_OF_RESOURCES = 701,
  LAUNCH_FAILED = 719,
  CAPTURE_UNSUPPORTED = 900,
  CAPTURE_INVALIDATED = 901,
  CAPTURED_EVENT = 907,
  CAPTURE_WRONG_THREAD = 908,
};

constexpr int MAX_DEVICES = 8;

struct Context {
  int device;
};

struct Graph {
  std::vector<std::function<int()>> nodes;
};

struct Stream {
  Context* context;
};

// The primary context of a device.
Context* primary_context(int device);
// What cuCtxSetCurrent selected on this thread, or null.
extern thread_local Context* current;

// Says what is wrong, on stderr and through cuGetErrorString.
int explain(int result, const std::string& text);

// Does the work, or records it if the stream captures. Work that is recorded must own what it refers to.
int enqueue(void* stream, std::function<int()> work);
// Whether the stream exists, belongs to the current context, and captures nothing: else what a driver answers to `call`,
// which waits for it. Ends what is being captured.
int wait_for(void* stream, const std::string& call);
bool captures(void* stream);
// For calls that a driver refuses while something is captured, unless that was begun with mode "relaxed".
int unsafe(const std::string& call);
// For calls that wait for all of the context's streams.
int wait_for_all(const std::string& call);

}  // namespace emulator
