// Device memory of the emulator. Addresses are handed out once, so that what is used after it was freed or beyond its
// end meets bytes that nobody owns. Kernels call the __asan and __ubsan functions below at every access.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include "emulator.h"
#include "stream.h"

namespace emulator {
namespace {

constexpr size_t SPACE = size_t(1) << 37;  // address space, not memory: pages come when touched
constexpr size_t GRAIN = 256;
constexpr size_t REDZONE = 256;
constexpr size_t PAGE = 4096;
constexpr size_t FREED_KEPT = 4096;

struct Memory {
  uintptr_t base = 0;
  uint8_t* state = nullptr;
  std::mutex mutex;
  std::map<uintptr_t, size_t> live;
  std::map<uintptr_t, int> device;
  std::map<uintptr_t, size_t> freed;
  std::map<uintptr_t, size_t> shared;
  size_t next = 0;
  size_t used[MAX_DEVICES] = {};
  size_t total = size_t(4) << 30;

  Memory() {
    if (const char* megabytes = getenv("LONGALIGN_EMULATOR_MEMORY_MB")) {
      total = strtoull(megabytes, nullptr, 10) << 20;
    }
    base = (uintptr_t)map(SPACE);
    state = (uint8_t*)map(SPACE);
  }

  static void* map(size_t bytes) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
      fprintf(stderr, "CUDA emulator: no address space for device memory\n");
      abort();
    }
    return p;
  }

  size_t take(size_t bytes) {
    size_t size = (bytes + GRAIN - 1) / GRAIN * GRAIN + REDZONE;
    if (next + size > SPACE) {
      return 0;
    }
    size_t offset = next + REDZONE;
    next += size;
    return offset;
  }
};

Memory memory;

bool inside(uintptr_t address) { return address - memory.base < SPACE; }

std::string hex(uintptr_t address) {
  char text[32];
  snprintf(text, sizeof text, "0x%llx", (unsigned long long)address);
  return text;
}

// "byte 128 of an allocation of 128 bytes"
std::string place(uintptr_t address) {
  std::lock_guard<std::mutex> lock(memory.mutex);
  auto near = [&](const std::map<uintptr_t, size_t>& blocks, const char* kind, bool beyond) -> std::string {
    auto after = blocks.upper_bound(address);
    if (after == blocks.begin()) {
      return "";
    }
    auto block = std::prev(after);
    if (address - block->first >= block->second + (beyond ? SPACE : 0)) {
      return "";
    }
    return std::string("byte ") + std::to_string(address - block->first) + " of " + kind + (kind[0] == 'a' ? " of " : " ") +
           std::to_string(block->second) + " bytes";
  };
  std::string text = near(memory.live, "an allocation", false);
  if (text.empty()) {
    text = near(memory.shared, "the shared memory, which is at most", false);
  }
  if (text.empty()) {
    text = near(memory.freed, "a freed allocation", false);
  }
  if (text.empty()) {
    text = near(memory.live, "an allocation", true);
  }
  return text.empty() ? hex(address) : text;
}

std::string describe(uintptr_t address, size_t bytes, bool write, uint8_t state) {
  std::string what = write ? "write of " : "read of ";
  if (!write && (state & ALLOCATED)) {
    what = "uninitialised read of ";
  } else {
    what = "out-of-bounds " + what;
    std::lock_guard<std::mutex> lock(memory.mutex);
    auto after = memory.freed.upper_bound(address);
    if (after != memory.freed.begin() && address - std::prev(after)->first < std::prev(after)->second) {
      what = std::string("use after free: ") + (write ? "write of " : "read of ");
    }
  }
  return what + std::to_string(bytes) + " bytes at " + hex(address) + " (" + place(address) + ")";
}

__attribute__((noinline, cold)) void bad(uintptr_t address, size_t bytes, bool write) {
  uint8_t state = 0;
  for (size_t i = 0; i < bytes && inside(address + i); i++) {
    state = memory.state[address + i - memory.base];
    if (!(state & ALLOCATED) || (!write && !(state & INITIALISED))) {
      break;
    }
  }
  fail(describe(address, bytes, write, state));
}

// Shared memory may be used at any time.
__attribute__((noinline, cold)) void touch_early(uintptr_t address) {
  uintptr_t shared = (uintptr_t)emulator_thread->shared;
  if (address < shared || address >= shared + SHARED_LIMIT_HOPPER) {
    fail(TOO_EARLY);
  }
}

template <class S>
inline void load(uintptr_t address) {
  uintptr_t offset = address - memory.base;
  if (__builtin_expect(offset >= SPACE, 1)) {
    if (address < 65536) {
      fail("read through a null pointer, address " + hex(address));
    }
    return;
  }
  S found;
  __builtin_memcpy(&found, memory.state + offset, sizeof(S));
  if (__builtin_expect(emulator_thread->early, 0)) {
    touch_early(address);
  }
  if (__builtin_expect(found != (S)0x0303030303030303ull, 0)) {
    bad(address, sizeof(S), false);
  }
}

template <class S>
inline void store(uintptr_t address) {
  uintptr_t offset = address - memory.base;
  if (__builtin_expect(offset >= SPACE, 1)) {
    if (address < 65536) {
      fail("write through a null pointer, address " + hex(address));
    }
    return;
  }
  S found;
  __builtin_memcpy(&found, memory.state + offset, sizeof(S));
  if (__builtin_expect(emulator_thread->early, 0)) {
    touch_early(address);
  }
  if (__builtin_expect((found & (S)0x0101010101010101ull) != (S)0x0101010101010101ull, 0)) {
    bad(address, sizeof(S), true);
  }
  S both = (S)0x0303030303030303ull;
  __builtin_memcpy(memory.state + offset, &both, sizeof(S));
}

std::string check(uintptr_t address, size_t bytes, bool write) {
  for (size_t i = 0; i < bytes; i++) {
    if (!inside(address + i)) {
      return describe(address + i, bytes - i, write, 0);
    }
    uint8_t state = memory.state[address + i - memory.base];
    if (!(state & ALLOCATED) || (!write && !(state & INITIALISED))) {
      return describe(address + i, bytes - i, write, state);
    }
  }
  return "";
}

}  // namespace

uintptr_t allocate(size_t bytes, int device) {
  std::lock_guard<std::mutex> lock(memory.mutex);
  size_t offset = bytes > memory.total - memory.used[device] ? 0 : memory.take(bytes);
  if (offset == 0) {
    return 0;
  }
  uintptr_t address = memory.base + offset;
  memory.live[address] = bytes;
  memory.device[address] = device;
  memory.used[device] += bytes;
  memset(memory.state + offset, ALLOCATED, bytes);
  return address;
}

bool release(uintptr_t address) {
  std::lock_guard<std::mutex> lock(memory.mutex);
  auto block = memory.live.find(address);
  if (block == memory.live.end()) {
    return false;
  }
  size_t bytes = block->second;
  auto device = memory.device.find(address);
  memory.used[device->second] -= bytes;
  memory.device.erase(device);
  memory.live.erase(block);
  if (memory.freed.size() >= FREED_KEPT) {
    memory.freed.erase(memory.freed.begin());
  }
  memory.freed[address] = bytes;
  set_state(address, bytes, 0);
  // Whole pages go back to the system, those of the state too.
  uintptr_t from = (address + PAGE - 1) / PAGE * PAGE;
  uintptr_t to = (address + bytes) / PAGE * PAGE;
  if (to > from) {
    madvise((void*)from, to - from, MADV_DONTNEED);
    madvise(memory.state + (from - memory.base), to - from, MADV_DONTNEED);
  }
  return true;
}

size_t memory_total() { return memory.total; }

size_t memory_free(int device) {
  std::lock_guard<std::mutex> lock(memory.mutex);
  return memory.total - memory.used[device];
}

std::string check_write(uintptr_t address, size_t bytes) { return check(address, bytes, true); }
std::string check_read(uintptr_t address, size_t bytes) { return check(address, bytes, false); }

unsigned char* reserve_shared(size_t bytes) {
  std::lock_guard<std::mutex> lock(memory.mutex);
  uintptr_t address = memory.base + memory.take(bytes);
  memory.shared[address] = bytes;
  return (unsigned char*)address;
}

void open_shared(unsigned char* shared, size_t bytes, size_t capacity) {
  uint8_t* state = memory.state + ((uintptr_t)shared - memory.base);
  memset(state, ALLOCATED, bytes);
  memset(state + bytes, 0, capacity - bytes);
}

void set_state(uintptr_t address, size_t bytes, uint8_t state) {
  memset(memory.state + (address - memory.base), state, bytes);
}

}  // namespace emulator

using emulator::load;
using emulator::store;

extern "C" {
void __asan_load1_noabort(uintptr_t p) { load<uint8_t>(p); }
void __asan_load2_noabort(uintptr_t p) { load<uint16_t>(p); }
void __asan_load4_noabort(uintptr_t p) { load<uint32_t>(p); }
void __asan_load8_noabort(uintptr_t p) { load<uint64_t>(p); }
void __asan_load16_noabort(uintptr_t p) {
  load<uint64_t>(p);
  load<uint64_t>(p + 8);
}
void __asan_loadN_noabort(uintptr_t p, size_t n) {
  for (size_t i = 0; i < n; i++) {
    load<uint8_t>(p + i);
  }
}
void __asan_store1_noabort(uintptr_t p) { store<uint8_t>(p); }
void __asan_store2_noabort(uintptr_t p) { store<uint16_t>(p); }
void __asan_store4_noabort(uintptr_t p) { store<uint32_t>(p); }
void __asan_store8_noabort(uintptr_t p) { store<uint64_t>(p); }
void __asan_store16_noabort(uintptr_t p) {
  store<uint64_t>(p);
  store<uint64_t>(p + 8);
}
void __asan_storeN_noabort(uintptr_t p, size_t n) {
  for (size_t i = 0; i < n; i++) {
    store<uint8_t>(p + i);
  }
}
void __asan_handle_no_return() {}
void* __asan_memcpy(void* to, const void* from, size_t n) {
  __asan_loadN_noabort((uintptr_t)from, n);
  __asan_storeN_noabort((uintptr_t)to, n);
  return memcpy(to, from, n);
}
void* __asan_memset(void* to, int value, size_t n) {
  __asan_storeN_noabort((uintptr_t)to, n);
  return memset(to, value, n);
}
void __ubsan_handle_type_mismatch_v1(void* data, uintptr_t pointer) {
  // data: location {file, line, column}, type, log2 of the alignment, kind of access
  struct Mismatch {
    const char* file;
    uint32_t line, column;
    const void* type;
    unsigned char logAlignment, kind;
  };
  const Mismatch* m = (const Mismatch*)data;
  emulator::fail("misaligned access to " + emulator::hex(pointer) + ", " + std::to_string(1 << m->logAlignment) +
                 "-byte alignment needed (" + (m->file ? m->file : "?") + ":" + std::to_string(m->line) + ")");
}
}
