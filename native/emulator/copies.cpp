// Copies from device to shared memory that go on while their threads do: those of a thread, which arrive when it waits for them,
// and bulk copies of boxes of a tensor, which arrive at an mbarrier: in half of the blocks when they are asked for, over what
// is still being read, else when somebody waits.
#include <cstring>

#include "block.h"

namespace emulator {
namespace {

void land(Fiber* fiber, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const Copy& copy = fiber->copies[i];
    if (copy.use) {
      memcpy(copy.to, copy.from, 16);
    } else {
      memset(copy.to, 0, 16);
    }
    set_state((uintptr_t)copy.to, 16, ALLOCATED | INITIALISED);
  }
  fiber->copies.erase(fiber->copies.begin(), fiber->copies.begin() + count);
}

// The bytes from the tensor to the swizzled rows of 128 bytes at copy.to; nothing wrong, or what.
std::string land(unsigned char* shared, const BoxCopy& copy) {
  const TensorMap& map = copy.map;
  u32 row = 0;
  int at[TensorMap::RANK];
  for (u32 i3 = 0; i3 < map.box[3]; i3++) {
    for (u32 i2 = 0; i2 < map.box[2]; i2++) {
      for (u32 i1 = 0; i1 < map.box[1]; i1++, row++) {
        at[1] = copy.at[1] + (int)i1;
        at[2] = copy.at[2] + (int)i2;
        at[3] = copy.at[3] + (int)i3;
        bool exists = true;
        u64 from = map.address;
        for (int d = 1; d < TensorMap::RANK; d++) {
          exists &= at[d] >= 0 && (u32)at[d] < map.sizes[d];
          from += at[d] * map.strides[d - 1];
        }
        for (u32 i0 = 0; i0 < map.box[0]; i0++) {
          i64 column = (i64)copy.at[0] + i0;
          u32 to = copy.to + row * map.box[0] * 2 + i0 * 2;
          to ^= (to >> 7 & 7) << 4;
          u16 value = 0;
          if (exists && column >= 0 && column < map.sizes[0]) {
            std::string wrong = check_read(from + column * 2, 2);
            if (!wrong.empty()) {
              return wrong;
            }
            memcpy(&value, (void*)(from + column * 2), 2);
          }
          memcpy(shared + to, &value, 2);
          set_state((uintptr_t)shared + to, 2, ALLOCATED | INITIALISED);
        }
      }
    }
  }
  return "";
}

i64 bytes_of(const TensorMap& map) { return (i64)map.box[0] * map.box[1] * map.box[2] * map.box[3] * 2; }

Mbarrier& mbarrier(u32 at) {
  auto found = worker->block.mbarriers.find(at);
  if (found == worker->block.mbarriers.end()) {
    fail("mbarrier at byte " + std::to_string(at) + " of the shared memory: nobody has made it yet");
  }
  return found->second;
}

// Ends the phase if all that was announced has arrived.
void complete(Mbarrier& m) {
  if (!m.expected || m.bytes != 0) {
    return;
  }
  m.expected = false;
  m.phases++;
  for (Fiber* other : m.waiting) {
    worker->warps[other->index / 32].ready |= 1u << (other->index % 32);
  }
  m.waiting.clear();
}

void arrive(Mbarrier& m, const BoxCopy& copy) {
  std::string wrong = land(worker->shared, copy);
  if (!wrong.empty()) {
    fail(wrong);
  }
  m.bytes -= bytes_of(copy.map);
  complete(m);
}

}  // namespace

extern "C" {

void emulator_copy_async(void* shared, const void* global, bool use) {
  if (emulator_thread->early) {
    fail(TOO_EARLY);
  }
  if ((uintptr_t)shared % 16 || (use && (uintptr_t)global % 16)) {
    fail("misaligned asynchronous copy: both addresses must be multiples of 16");
  }
  std::string wrong = check_write((uintptr_t)shared, 16);
  if (wrong.empty() && use) {
    wrong = check_read((uintptr_t)global, 16);
  }
  if (!wrong.empty()) {
    fail(wrong);
  }
  set_state((uintptr_t)shared, 16, ALLOCATED);  // readable only after the wait
  self()->copies.push_back({shared, global, use});
}

void emulator_copy_commit() {
  Fiber* fiber = self();
  fiber->groups.push_back((int)fiber->copies.size() - fiber->groupStart);
  fiber->groupStart = (int)fiber->copies.size();
}

void emulator_copy_wait(int groups) {
  Fiber* fiber = self();
  int landing = (int)fiber->groups.size() - groups;
  if (landing <= 0) {
    return;
  }
  int count = 0;
  for (int i = 0; i < landing; i++) {
    count += fiber->groups[i];
  }
  land(fiber, count);
  fiber->groups.erase(fiber->groups.begin(), fiber->groups.begin() + landing);
  fiber->groupStart -= count;
}

void emulator_mbarrier_make(u32 at) {
  std::string wrong = check_write((uintptr_t)worker->shared + at, 8);
  if (at % 8) {
    wrong = "misaligned mbarrier: its address must be a multiple of 8";
  }
  if (wrong.empty() && !worker->block.mbarriers.emplace(at, Mbarrier()).second) {
    wrong = "mbarrier at byte " + std::to_string(at) + " of the shared memory is made twice";
  }
  if (!wrong.empty()) {
    fail(wrong);
  }
  set_state((uintptr_t)worker->shared + at, 8, 0);  // not for ordinary access
}

void emulator_mbarrier_expect(u32 at, int bytes) {
  Mbarrier& m = mbarrier(at);
  if (m.expected) {
    fail("mbarrier at byte " + std::to_string(at) + ": its phase is not over, and the next one's bytes are announced");
  }
  m.expected = true;
  m.bytes += bytes;
  complete(m);
}

void emulator_mbarrier_wait(u32 at, int parity) {
  Mbarrier& m = mbarrier(at);
  if (m.phases % 2 != parity) {
    return;
  }
  std::vector<BoxCopy> copies;
  copies.swap(m.copies);
  for (const BoxCopy& copy : copies) {
    arrive(m, copy);
  }
  if (m.phases % 2 == parity) {
    Fiber* fiber = self();
    m.waiting.push_back(fiber);
    worker->warps[fiber->index / 32].ready &= ~(1u << (fiber->index % 32));
    worker->yield(fiber);
  }
}

void emulator_copy_box(u32 to, const TensorMap* map, const int* at, u32 toMbarrier) {
  Mbarrier& m = mbarrier(toMbarrier);
  if (emulator_thread->early) {
    fail(TOO_EARLY);
  }
  if (map->mark != TensorMap::MARK) {
    fail("bulk copy by what is no tensor map");
  }
  if (to % 128) {
    fail("misaligned bulk copy: it must go to a multiple of 128 bytes");
  }
  BoxCopy copy{to, *map, {at[0], at[1], at[2], at[3]}};
  uintptr_t shared = (uintptr_t)worker->shared + to;
  std::string wrong = check_write(shared, bytes_of(*map));
  if (!wrong.empty()) {
    fail(wrong);
  }
  set_state(shared, bytes_of(*map), ALLOCATED);  // readable only after the wait
  if (worker->block.slow) {
    m.copies.push_back(copy);
  } else {
    arrive(m, copy);
  }
}
}

}  // namespace emulator
