// A block that runs: its threads as fibers, their warps, barriers and copies (block.cpp, copies.cpp).
#pragma once
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "emulator.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {

constexpr int MAX_THREADS = 1024;

#if defined(__x86_64__)
struct SavedStack {
  void* top;
};
#else
struct SavedStack {
  ucontext_t user;
};
#endif

struct Copy {
  void* to;
  const void* from;
  bool use;
};

enum class Collective { NONE, SHFL_XOR, SHFL_UP, BALLOT, MMA_BF16, MMA_F16 };

struct Operands {
  float* d;
  const u32* a;
  u32 b[2];
  u32 value;
  int argument;
};

struct Fiber : Thread {
  SavedStack stack;
  int index;
  int line;  // of the barrier it waits in
  std::vector<Copy> copies;
  std::vector<int> groups;  // how many copies each group ends at
  int groupStart = 0;
  std::vector<Product> products;     // not yet computed
  std::vector<size_t> productGroups;  // how many of them each group ends at
};

constexpr int NAMED_BARRIERS = 16;

struct NamedBarrier {
  int threads;
  int arrived;
  std::vector<Fiber*> waiting;
};

struct BoxCopy {
  u32 to;
  TensorMap map;
  int at[TensorMap::RANK];
};

struct Mbarrier {
  int phases = 0;         // that are complete
  bool expected = false;  // this phase's bytes have been announced
  i64 bytes = 0;          // announced and not arrived, of this phase
  std::vector<BoxCopy> copies;  // on their way
  std::vector<Fiber*> waiting;
};

struct Warp {
  u32 all;
  u32 ready;
  u32 arrived;
  Collective kind;
  Operands* operands[32];
};

struct Block {
  Index index;
  int count = 0;
  int finished = 0;
  int waiting = 0;
  bool reverse = false;
  bool late = false;   // products are computed when they are waited for
  bool eager = false;  // whom an arrival releases goes on before the one that arrived
  bool slow = false;   // bulk copies arrive when they are waited for
  NamedBarrier barriers[NAMED_BARRIERS];
  std::map<u32, Mbarrier> mbarriers;  // by their place in shared memory

  // Of the named barrier or the mbarrier that threads have come to in vain, or nothing.
  std::string unmet() const {
    for (const auto& entry : mbarriers) {
      const Mbarrier& m = entry.second;
      if (m.expected || m.bytes != 0 || !m.waiting.empty()) {
        return "mbarrier at " + std::to_string(entry.first) + ": " + std::to_string(m.bytes) + " bytes are missing" +
               (m.expected ? "" : ", none were expected") +
               (m.copies.empty() ? "" : ", " + std::to_string(m.copies.size()) + " copies are never waited for");
      }
    }
    for (int i = 0; i < NAMED_BARRIERS; i++) {
      if (barriers[i].arrived > 0) {
        return "barrier " + std::to_string(i) + ": " + std::to_string(barriers[i].arrived) + " of " +
               std::to_string(barriers[i].threads) + " threads have come to it";
      }
    }
    return "";
  }
};

struct Job {
  const Launch* launch;
  std::atomic<long> next{0};
  long blocks;
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::string error;
};

struct Worker {
  Block block;
  Fiber fibers[MAX_THREADS];
  Warp warps[MAX_THREADS / 32];
  unsigned char* stacks;
  unsigned char* shared;
  SavedStack main;
  Job* job = nullptr;
  int prepared = 0;
  bool aborted = false;

  Worker();
  void run(Job* job);
  bool runBlock(long number);
  Fiber* next(Fiber* current);
  void yield(Fiber* current);
  void switchTo(Fiber* current, Fiber* to);
  [[noreturn]] void abortLaunch(const std::string& what);
};

// The one that runs on this thread.
extern __thread Worker* worker;

inline Fiber* self() { return static_cast<Fiber*>(emulator_thread); }

}  // namespace emulator
