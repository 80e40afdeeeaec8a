// Runs the blocks of a launch on a few threads. The CUDA threads of a block are fibers on one of them; a fiber runs until
// it meets a barrier or a warp-wide operation, then the next one that can run does. Every other block runs its fibers in
// reverse order, so that a missing barrier shows as a wrong result or an uninitialised read; and every other computes a
// warpgroup's products when they are waited for, not when they are asked for, so that a missing wait does. Where threads
// arrive at a barrier without waiting there, either they go on first or those that they release do.
#include <pthread.h>
#include <sys/mman.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "block.h"

namespace emulator {

extern "C" {
thread_local Thread* emulator_thread = nullptr;
}
__thread Worker* worker = nullptr;

namespace {

constexpr size_t STACK = 64 << 10;
constexpr uint64_t CANARY = 0x5ca1ab1e0ddba11ull;

// ---- switching stacks

#if defined(__x86_64__)
extern "C" void emulator_switch(SavedStack* from, SavedStack* to);
asm(R"(
.text
.globl emulator_switch
.type emulator_switch, @function
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq (%rsi), %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulator_switch, .-emulator_switch
)");
void prepare(SavedStack* saved, unsigned char* stack, void (*body)()) {
  void** top = (void**)(stack + STACK - 64);
  *--top = nullptr;  // body's return address: it never returns; also aligns its frame
  *--top = (void*)body;
  for (int i = 0; i < 6; i++) {
    *--top = nullptr;
  }
  saved->top = top;
}
#else
void emulator_switch(SavedStack* from, SavedStack* to) { swapcontext(&from->user, &to->user); }
void prepare(SavedStack* saved, unsigned char* stack, void (*body)()) {
  getcontext(&saved->user);
  saved->user.uc_stack.ss_sp = stack;
  saved->user.uc_stack.ss_size = STACK;
  saved->user.uc_link = nullptr;
  makecontext(&saved->user, body, 0);
}
#endif

void fiberBody() {
  for (;;) {
    Worker* w = worker;
    Fiber* fiber = self();
    const Launch* launch = w->job->launch;
    launch->entry->invoke(launch->entry->function, launch->parameters);
    if (fiber->early) {
      w->abortLaunch("may run beside the kernels before it and does not wait for them");
    }
    if (!fiber->productGroups.empty() || !fiber->products.empty()) {
      w->abortLaunch("products of a warpgroup that are never waited for");
    }
    w->block.finished++;
    w->warps[fiber->index / 32].ready &= ~(1u << (fiber->index % 32));
    w->yield(fiber);
  }
}

int first(u32 mask, bool reverse) { return reverse ? 31 - __builtin_clz(mask) : __builtin_ctz(mask); }

}  // namespace

Worker::Worker() {
  stacks = (unsigned char*)mmap(nullptr, STACK * MAX_THREADS, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  shared = reserve_shared(SHARED_LIMIT_HOPPER);
  for (int i = 0; i < MAX_THREADS; i++) {
    fibers[i].index = i;
  }
}

Fiber* Worker::next(Fiber* current) {
  int warpCount = (block.count + 31) / 32;
  int w = current->index / 32;
  int lane = current->index % 32;
  u32 ready = warps[w].ready;
  if (ready) {
    u32 ahead = block.reverse ? ready & ((1u << lane) - 1) : lane == 31 ? 0 : ready & (~0u << (lane + 1));
    return &fibers[w * 32 + first(ahead ? ahead : ready, block.reverse)];
  }
  for (int i = 1; i < warpCount; i++) {
    int other = block.reverse ? (w - i + warpCount) % warpCount : (w + i) % warpCount;
    if (warps[other].ready) {
      return &fibers[other * 32 + first(warps[other].ready, block.reverse)];
    }
  }
  return nullptr;
}

// Lets another fiber run; returns when somebody has made this one ready again.
void Worker::yield(Fiber* current) {
  Fiber* to = next(current);
  if (to == nullptr) {
    if (block.finished < block.count) {
      std::string what;
      for (int i = 0; i < (block.count + 31) / 32 && what.empty(); i++) {
        if (warps[i].arrived) {
          what = "warp-wide operation that some lanes of warp " + std::to_string(i) + " never reach";
        }
      }
      if (what.empty()) {
        what = block.unmet();
      }
      if (what.empty()) {
        what = "barrier (line " + std::to_string(current->line) + ") that " + std::to_string(block.finished) + " of " +
               std::to_string(block.count) + " threads never reach: they have returned";
      }
      abortLaunch("mismatched " + what);
    }
    std::string left = block.unmet();
    if (!left.empty()) {
      abortLaunch("mismatched " + left + " at the end");
    }
    emulator_switch(&current->stack, &main);
    return;
  }
  switchTo(current, to);
}

void Worker::switchTo(Fiber* current, Fiber* to) {
  if (to != current) {
    emulator_thread = to;
    emulator_switch(&current->stack, &to->stack);
  }
}

void Worker::abortLaunch(const std::string& what) {
  {
    std::lock_guard<std::mutex> lock(job->mutex);
    if (!job->failed.exchange(true)) {
      Fiber* fiber = self();
      char where[160];
      snprintf(where, sizeof where, " in block (%u, %u, %u), thread (%u, %u, %u): ", block.index.x, block.index.y,
               block.index.z, fiber->thread.x, fiber->thread.y, fiber->thread.z);
      job->error = std::string(job->launch->entry->name) + where + what;
    }
  }
  aborted = true;
  SavedStack dead;
  emulator_switch(&dead, &main);
  abort();
}

bool Worker::runBlock(long number) {
  const Launch* launch = job->launch;
  block.index = {unsigned(number % launch->grid.x), unsigned(number / launch->grid.x % launch->grid.y),
                 unsigned(number / launch->grid.x / launch->grid.y)};
  block.count = launch->block.x * launch->block.y * launch->block.z;
  block.finished = 0;
  block.waiting = 0;
  block.reverse = number & 1;
  block.late = (number ^ number >> 1) & 1;
  block.eager = ~(number >> 1 ^ number >> 2) & 1;
  block.slow = number >> 1 & 1;
  block.mbarriers.clear();
  for (NamedBarrier& barrier : block.barriers) {
    barrier.arrived = 0;
    barrier.waiting.clear();
  }
  open_shared(shared, launch->shared, SHARED_LIMIT_HOPPER);
  for (int i = 0; i < block.count; i += 32) {
    Warp& warp = warps[i / 32];
    int lanes = block.count - i < 32 ? block.count - i : 32;
    warp.all = lanes == 32 ? ~0u : (1u << lanes) - 1;
    warp.ready = warp.all;
    warp.arrived = 0;
  }
  for (int i = 0; i < block.count; i++) {
    Fiber& fiber = fibers[i];
    fiber.thread = {i % launch->block.x, i / launch->block.x % launch->block.y, i / launch->block.x / launch->block.y};
    fiber.blockIndex = &block.index;
    fiber.blockSize = &launch->block;
    fiber.gridSize = &launch->grid;
    fiber.shared = shared;
    fiber.early = launch->overlapping;
    fiber.copies.clear();
    fiber.groups.clear();
    fiber.groupStart = 0;
    fiber.products.clear();
    fiber.productGroups.clear();
  }
  for (; prepared < block.count; prepared++) {
    *(uint64_t*)(stacks + STACK * prepared) = CANARY;
    prepare(&fibers[prepared].stack, stacks + STACK * prepared, fiberBody);
  }
  Fiber* start = &fibers[block.reverse ? block.count - 1 : 0];
  emulator_thread = start;
  emulator_switch(&main, &start->stack);
  emulator_thread = nullptr;
  for (int i = 0; i < block.count; i++) {
    if (*(uint64_t*)(stacks + STACK * i) != CANARY) {
      fprintf(stderr, "CUDA emulator: %s needs more than %zu bytes of stack\n", launch->entry->name, STACK);
      abort();
    }
  }
  if (aborted) {
    aborted = false;
    prepared = 0;  // the fibers stand somewhere in the kernel; start them afresh
    return false;
  }
  return true;
}

void Worker::run(Job* work) {
  job = work;
  while (!job->failed.load(std::memory_order_relaxed)) {
    long number = job->next.fetch_add(1, std::memory_order_relaxed);
    if (number >= job->blocks || !runBlock(number)) {
      break;
    }
  }
  job = nullptr;
}

namespace {

// ---- the threads that work

struct Pool {
  std::mutex launching;
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable done;
  Job* job = nullptr;
  long generation = 0;
  int running = 0;
  int count = 0;

  Pool() {
    const char* text = getenv("LONGALIGN_EMULATOR_THREADS");
    int cores = (int)std::thread::hardware_concurrency();
    count = text ? atoi(text) : cores < 1 ? 1 : cores > 8 ? 8 : cores;
    for (int i = 0; i < count; i++) {
      std::thread([this] { serve(); }).detach();
    }
  }

  void serve() {
    worker = new Worker();
    long seen = 0;
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      wake.wait(lock, [&] { return generation != seen; });
      seen = generation;
      Job* current = job;
      lock.unlock();
      worker->run(current);
      lock.lock();
      if (--running == 0) {
        done.notify_all();
      }
    }
  }

  void execute(Job* work) {
    std::lock_guard<std::mutex> one(launching);
    std::unique_lock<std::mutex> lock(mutex);
    job = work;
    running = count;
    generation++;
    wake.notify_all();
    done.wait(lock, [&] { return running == 0; });
  }
};

Pool& pool() {
  static Pool* threads = new Pool();
  return *threads;
}

// ---- warp-wide operations

float half_to_float(u16 bits, bool bfloat) { return bfloat ? bf16_to_float(bits) : f16_to_float(bits); }

// d (16 x 8) += a (16 x 16) b (16 x 8), distributed over the lanes as mma.m16n8k16 has it.
void multiply(Warp& warp, bool bfloat) {
  float a[16][16];
  float b[16][8];
  float d[16][8];
  for (int lane = 0; lane < 32; lane++) {
    const Operands* o = warp.operands[lane];
    int row = lane / 4;
    int pair = lane % 4 * 2;
    for (int i = 0; i < 4; i++) {
      float* to = &a[row + i % 2 * 8][pair + i / 2 * 8];
      to[0] = half_to_float((u16)o->a[i], bfloat);
      to[1] = half_to_float((u16)(o->a[i] >> 16), bfloat);
      d[row + i / 2 * 8][pair + i % 2] = o->d[i];
    }
    for (int i = 0; i < 2; i++) {
      b[pair + i * 8][row] = half_to_float((u16)o->b[i], bfloat);
      b[pair + i * 8 + 1][row] = half_to_float((u16)(o->b[i] >> 16), bfloat);
    }
  }
  for (int i = 0; i < 16; i++) {
    for (int k = 0; k < 16; k++) {
      for (int j = 0; j < 8; j++) {
        d[i][j] += a[i][k] * b[k][j];
      }
    }
  }
  for (int lane = 0; lane < 32; lane++) {
    for (int i = 0; i < 4; i++) {
      warp.operands[lane]->d[i] = d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
    }
  }
}

void perform(Warp& warp) {
  u32 values[32];
  for (int lane = 0; lane < 32; lane++) {
    values[lane] = warp.operands[lane]->value;
  }
  switch (warp.kind) {
    case Collective::SHFL_XOR:
      for (int lane = 0; lane < 32; lane++) {
        warp.operands[lane]->value = values[lane ^ warp.operands[lane]->argument];
      }
      break;
    case Collective::SHFL_UP:
      for (int lane = 0; lane < 32; lane++) {
        int from = lane - warp.operands[lane]->argument;
        warp.operands[lane]->value = values[from < 0 ? lane : from];
      }
      break;
    case Collective::BALLOT: {
      u32 bits = 0;
      for (int lane = 0; lane < 32; lane++) {
        bits |= (values[lane] ? 1u : 0u) << lane;
      }
      for (int lane = 0; lane < 32; lane++) {
        warp.operands[lane]->value = bits;
      }
      break;
    }
    default:
      multiply(warp, warp.kind == Collective::MMA_BF16);
  }
}

void together(Collective kind, Operands* operands) {
  Worker* w = worker;
  Fiber* fiber = self();
  Warp& warp = w->warps[fiber->index / 32];
  u32 bit = 1u << (fiber->index % 32);
  if (warp.all != ~0u) {
    w->abortLaunch("warp-wide operation in a warp of fewer than 32 threads");
  }
  if (warp.arrived && warp.kind != kind) {
    w->abortLaunch("mismatched warp-wide operations: lanes of a warp are in different ones");
  }
  warp.kind = kind;
  warp.operands[fiber->index % 32] = operands;
  warp.arrived |= bit;
  if (warp.arrived == ~0u) {
    perform(warp);
    warp.arrived = 0;
    warp.ready = ~0u;
    return;
  }
  warp.ready &= ~bit;
  w->yield(fiber);
}

}  // namespace

bool fail(const std::string& what) {
  if (worker == nullptr || worker->job == nullptr || emulator_thread == nullptr) {
    return false;
  }
  worker->abortLaunch(what);
}

std::string run(const Launch& launch) {
  Job job;
  job.launch = &launch;
  job.blocks = (long)launch.grid.x * launch.grid.y * launch.grid.z;
  pool().execute(&job);
  return job.error;
}

extern "C" {

void emulator_after_kernels_before() { emulator_thread->early = false; }

void emulator_barrier(int line) {
  Worker* w = worker;
  Fiber* fiber = self();
  fiber->line = line;
  Block& block = w->block;
  if (++block.waiting < block.count) {
    w->warps[fiber->index / 32].ready &= ~(1u << (fiber->index % 32));
    w->yield(fiber);
    return;
  }
  for (int i = 0; i < block.count; i++) {
    if (w->fibers[i].line != line) {
      w->abortLaunch("mismatched barriers: this thread is in the one of line " + std::to_string(line) + ", thread " +
                     std::to_string(i) + " in the one of line " + std::to_string(w->fibers[i].line));
    }
  }
  block.waiting = 0;
  for (int i = 0; i < block.count; i += 32) {
    w->warps[i / 32].ready = w->warps[i / 32].all;
  }
}

void emulator_named_barrier(int id, int threads, bool wait, int line) {
  Worker* w = worker;
  Fiber* fiber = self();
  Block& block = w->block;
  std::string name = "barrier " + std::to_string(id) + " (line " + std::to_string(line) + ")";
  if (id < 1 || id >= NAMED_BARRIERS || threads % 32 != 0 || threads < 32 || threads > block.count) {
    w->abortLaunch(name + " of " + std::to_string(threads) + " threads: barriers are 1 to 15, of whole warps of the block's " +
                   std::to_string(block.count) + " threads");
  }
  NamedBarrier& barrier = block.barriers[id];
  if (barrier.arrived > 0 && barrier.threads != threads) {
    w->abortLaunch("mismatched " + name + ": of " + std::to_string(threads) + " threads here, of " +
                   std::to_string(barrier.threads) + " for those that have come to it");
  }
  barrier.threads = threads;
  if (++barrier.arrived < threads) {
    if (wait) {
      barrier.waiting.push_back(fiber);
      w->warps[fiber->index / 32].ready &= ~(1u << (fiber->index % 32));
      w->yield(fiber);
    }
    return;
  }
  for (Fiber* other : barrier.waiting) {
    w->warps[other->index / 32].ready |= 1u << (other->index % 32);
  }
  Fiber* released = barrier.waiting.empty() ? fiber : barrier.waiting.front();
  barrier.waiting.clear();
  barrier.arrived = 0;
  if (!wait && block.eager) {
    w->switchTo(fiber, released);
  }
}

void emulator_product(const Product* product) {
  if (worker->block.late) {
    self()->products.push_back(*product);
  } else {
    product->multiply(product->d, product->a, product->ofA, product->ofB);
  }
}

void emulator_products_commit() {
  Fiber* fiber = self();
  fiber->productGroups.push_back(fiber->products.size());
}

void emulator_products_wait(int groups) {
  Fiber* fiber = self();
  int finishing = (int)fiber->productGroups.size() - groups;
  if (finishing <= 0) {
    return;
  }
  size_t count = fiber->productGroups[finishing - 1];
  for (size_t i = 0; i < count; i++) {
    Product product = fiber->products[i];
    product.multiply(product.d, product.a, product.ofA, product.ofB);
  }
  fiber->products.erase(fiber->products.begin(), fiber->products.begin() + count);
  fiber->productGroups.erase(fiber->productGroups.begin(), fiber->productGroups.begin() + finishing);
  for (size_t& end : fiber->productGroups) {
    end -= count;
  }
}

float emulator_shfl_xor(float value, int mask) {
  Operands o{};
  memcpy(&o.value, &value, 4);
  o.argument = mask;
  together(Collective::SHFL_XOR, &o);
  memcpy(&value, &o.value, 4);
  return value;
}

int emulator_shfl_up(int value, int delta) {
  Operands o{};
  o.value = (u32)value;
  o.argument = delta;
  together(Collective::SHFL_UP, &o);
  return (int)o.value;
}

u32 emulator_ballot(bool predicate) {
  Operands o{};
  o.value = predicate;
  together(Collective::BALLOT, &o);
  return o.value;
}

void emulator_mma(float* d, const u32* a, u32 b0, u32 b1, bool bfloat) {
  Operands o{d, a, {b0, b1}, 0, 0};
  together(bfloat ? Collective::MMA_BF16 : Collective::MMA_F16, &o);
}

}

}  // namespace emulator
