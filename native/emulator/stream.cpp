// Streams, and graphs: what is enqueued on a capturing stream is recorded and done when the graph is launched. What a
// driver refuses while a stream captures is refused here, and ends the capture as it does there.
#include "stream.h"

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "emulator.h"

namespace emulator {

thread_local Context* current = nullptr;

namespace {

enum Mode { GLOBAL = 0, THREAD_LOCAL = 1, RELAXED = 2 };

struct Capture {
  Graph* graph;
  int mode;
  std::thread::id thread;
  bool broken = false;
};

std::mutex mutex;
std::set<void*> streams;
std::map<void*, Capture> capturing;
std::set<void*> executables;

int broken(Capture& capture, const std::string& text) {
  capture.broken = true;
  return explain(CAPTURE_UNSUPPORTED, text);
}

// With the mutex held: the stream exists and is of the current context.
int usable(void* stream, const std::string& call) {
  if (!current) {
    return explain(INVALID_CONTEXT, call + ": no context on this thread");
  }
  if (stream == nullptr) {
    return SUCCESS;  // the default stream
  }
  if (!streams.count(stream)) {
    return explain(INVALID_HANDLE, call + ": there is no such stream");
  }
  Context* owner = ((Stream*)stream)->context;
  return owner == current ? SUCCESS
                          : explain(INVALID_HANDLE, call + ": the stream belongs to device " +
                                                        std::to_string(owner->device) + ", the current context to device " +
                                                        std::to_string(current->device));
}

}  // namespace

Context* primary_context(int device) {
  static Context contexts[MAX_DEVICES];
  contexts[device].device = device;
  return &contexts[device];
}

int enqueue(void* stream, std::function<int()> work) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    int result = usable(stream, "enqueuing work");
    if (result != SUCCESS) {
      return result;
    }
    auto found = capturing.find(stream);
    if (found != capturing.end()) {
      if (found->second.broken) {
        return explain(CAPTURE_INVALIDATED, "enqueuing work: an earlier call has ended this capture");
      }
      found->second.graph->nodes.push_back(std::move(work));
      return SUCCESS;
    }
  }
  return work();
}

bool captures(void* stream) {
  std::lock_guard<std::mutex> lock(mutex);
  return capturing.count(stream) > 0;
}

int wait_for(void* stream, const std::string& call) {
  std::lock_guard<std::mutex> lock(mutex);
  int result = usable(stream, call);
  auto found = capturing.find(stream);
  return result != SUCCESS || found == capturing.end() ? result
                                                       : broken(found->second, call + " while the stream captures");
}

int wait_for_all(const std::string& call) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!current) {
    return explain(INVALID_CONTEXT, call + ": no context on this thread");
  }
  for (auto& entry : capturing) {
    if (((Stream*)entry.first)->context == current) {
      return broken(entry.second, call + " while a stream of the context captures");
    }
  }
  return SUCCESS;
}

int unsafe(const std::string& call) {
  std::lock_guard<std::mutex> lock(mutex);
  for (auto& entry : capturing) {
    Capture& capture = entry.second;
    if (capture.mode == GLOBAL || (capture.mode == THREAD_LOCAL && capture.thread == std::this_thread::get_id())) {
      return broken(capture, call + " while a stream captures in a mode that forbids it");
    }
  }
  return SUCCESS;
}

}  // namespace emulator

using namespace emulator;

extern "C" {

int cuStreamCreate(void** stream, unsigned) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!current) {
    return explain(INVALID_CONTEXT, "creating a stream: no context on this thread");
  }
  *stream = new Stream{current};
  streams.insert(*stream);
  return SUCCESS;
}
int cuStreamDestroy_v2(void* stream) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!streams.erase(stream)) {
    return explain(INVALID_HANDLE, "destroying a stream: there is no such stream");
  }
  auto found = capturing.find(stream);
  if (found != capturing.end()) {
    delete found->second.graph;
    capturing.erase(found);
  }
  delete (Stream*)stream;
  return SUCCESS;
}
int cuStreamSynchronize(void* stream) { return wait_for(stream, "cuStreamSynchronize"); }
int cuStreamQuery(void* stream) { return wait_for(stream, "cuStreamQuery"); }
int cuStreamWaitEvent(void*, void*, unsigned) { return SUCCESS; }

int cuStreamBeginCapture_v2(void* stream, int mode) {
  std::lock_guard<std::mutex> lock(mutex);
  int result = usable(stream, "cuStreamBeginCapture");
  if (result != SUCCESS) {
    return result;
  }
  if (stream == nullptr) {
    return explain(CAPTURE_UNSUPPORTED, "cuStreamBeginCapture: the default stream cannot capture");
  }
  if (capturing.count(stream)) {
    return explain(ILLEGAL_STATE, "cuStreamBeginCapture: the stream captures already");
  }
  capturing[stream] = Capture{new Graph(), mode, std::this_thread::get_id()};
  return SUCCESS;
}
int cuStreamBeginCapture(void* stream) { return cuStreamBeginCapture_v2(stream, GLOBAL); }
int cuStreamEndCapture(void* stream, void** graph) {
  std::lock_guard<std::mutex> lock(mutex);
  *graph = nullptr;
  int result = usable(stream, "cuStreamEndCapture");
  if (result != SUCCESS) {
    return result;
  }
  auto found = capturing.find(stream);
  if (found == capturing.end()) {
    return explain(ILLEGAL_STATE, "cuStreamEndCapture: the stream does not capture");
  }
  Capture capture = found->second;
  if (capture.mode != RELAXED && capture.thread != std::this_thread::get_id()) {
    return explain(CAPTURE_WRONG_THREAD, "cuStreamEndCapture: another thread began this capture");
  }
  capturing.erase(found);
  if (capture.broken) {
    delete capture.graph;
    return explain(CAPTURE_INVALIDATED, "cuStreamEndCapture: an earlier call has ended this capture");
  }
  *graph = capture.graph;
  return SUCCESS;
}
int cuStreamIsCapturing(void* stream, int* status) {
  std::lock_guard<std::mutex> lock(mutex);
  auto found = capturing.find(stream);
  *status = found == capturing.end() ? 0 : found->second.broken ? 2 : 1;
  return SUCCESS;
}

int cuGraphGetNodes(void* graph, void** nodes, size_t* count) {
  size_t all = ((Graph*)graph)->nodes.size();
  for (size_t i = 0; nodes != nullptr && i < *count && i < all; i++) {
    nodes[i] = &((Graph*)graph)->nodes[i];
  }
  *count = all;
  return SUCCESS;
}
int cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
  std::lock_guard<std::mutex> lock(mutex);
  *executable = new Graph(*(Graph*)graph);
  executables.insert(*executable);
  return SUCCESS;
}
int cuGraphInstantiate_v2(void** executable, void* graph, void*, char*, size_t) {
  return cuGraphInstantiateWithFlags(executable, graph, 0);
}
int cuGraphLaunch(void* executable, void* stream) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (!executables.count(executable)) {
      return explain(INVALID_HANDLE, "cuGraphLaunch: there is no such graph");
    }
  }
  return enqueue(stream, [executable] {
    for (auto& node : ((Graph*)executable)->nodes) {
      int result = node();
      if (result != SUCCESS) {
        return result;
      }
    }
    return (int)SUCCESS;
  });
}
int cuGraphDestroy(void* graph) {
  delete (Graph*)graph;
  return SUCCESS;
}
int cuGraphExecDestroy(void* executable) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!executables.erase(executable)) {
    return explain(INVALID_HANDLE, "cuGraphExecDestroy: there is no such graph");
  }
  delete (Graph*)executable;
  return SUCCESS;
}
}
