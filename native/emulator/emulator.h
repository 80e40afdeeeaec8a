// What the emulator's parts share.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "kernel.h"

namespace emulator {

// ---- memory.cpp: the device's memory, one byte of state for every byte

constexpr uint8_t ALLOCATED = 1;
constexpr uint8_t INITIALISED = 2;

// 0 when out of memory; every device has as much.
uintptr_t allocate(size_t bytes, int device);
bool release(uintptr_t address);
size_t memory_total();
size_t memory_free(int device);

// For host copies: empty if [address, address + bytes) may be written (or read), else what is wrong.
std::string check_write(uintptr_t address, size_t bytes);
std::string check_read(uintptr_t address, size_t bytes);

// A stretch of memory for a worker's shared memory, outside of the device's allocations.
unsigned char* reserve_shared(size_t bytes);
// [0, bytes) becomes usable and uninitialised, the rest of `capacity` inaccessible.
void open_shared(unsigned char* shared, size_t bytes, size_t capacity);
void set_state(uintptr_t address, size_t bytes, uint8_t state);

// ---- block.cpp: runs kernels

constexpr const char* TOO_EARLY = "device memory is touched before the kernels before this one are known to be done";

struct Launch {
  const Entry* entry;
  void** parameters;
  Index grid;
  Index block;
  unsigned shared;
  bool overlapping;  // blocks may be there before the kernels before this one are done
};

constexpr size_t SHARED_LIMIT = 101376;         // of the smallest devices that the kernels are for (sm_86, sm_89)
constexpr size_t SHARED_LIMIT_HOPPER = 232448;  // of sm_90, for kernels that run there alone
constexpr size_t SHARED_DEFAULT = 49152;

// Runs all blocks; empty, or what went wrong and where.
std::string run(const Launch& launch);

// Ends the launch with this message if called from a kernel; returns false on any other thread.
bool fail(const std::string& what);

}  // namespace emulator
