// Matrix products and implicit-GEMM convolutions of 16-bit types for Hopper: those of product_mma.cu on wgmma. A warpgroup
// computes 64 x BN; all threads copy the next tiles while the tensor cores work on this one. What blocks have in common
// comes from the second-level cache, whose bandwidth decides how large tiles must be.
// Rows of x must allow 16-byte access, and channels come in eights: the others are for product_mma.cu.
#include "hopper.cuh"
#include "product.cuh"

// One row of A, as a patch of pixels: product.cuh's Patch in fewer registers, since channels come in eights.
template <bool DOUBLED>
struct Row {
  int corner;     // in eights of elements from x, of the patch; DOUBLED: of the image
  int top, left;  // of a row that does not exist: far above the image

  static DEVICE Row of(const Geometry& g, int row, int rows) {
    int pixel = row < rows ? row : 0;
    int line = pixel / g.outWidth;
    int b = line / g.outHeight;
    Row r;
    r.top = (line - b * g.outHeight) * g.stride - g.padTop;
    r.left = (pixel - line * g.outWidth) * g.stride - g.padLeft;
    int eights = g.channels / 8;
    r.corner = DOUBLED ? b * (g.height / 2) * (g.width / 2) * eights : ((b * g.height + r.top) * g.width + r.left) * eights;
    if (row >= rows) {
      r.top = -(1 << 30);
    }
    return r;
  }

  DEVICE bool sees(const Geometry& g, const Walk& walk) const {
    return (u32)(top + walk.line) < (u32)g.height && (u32)(left + walk.column) < (u32)g.width;
  }

  DEVICE int at(const Geometry& g, const Walk& walk) const {
    return DOUBLED ? corner + (((top + walk.line) / 2 * (g.width / 2) + (left + walk.column) / 2) * g.channels + walk.channel) / 8
                   : corner + walk.offset / 8;
  }
};

// GROUPS: warpgroups of a block, one below the other, each with 64 x BN. A step is 64 along K. Products of IN_FLIGHT steps
// are left to run while the next are issued; the buffers of so many more steps are not free.
template <class T, int GROUPS, int BN, int STAGES, int IN_FLIGHT, bool CONVOLUTION, bool DOUBLED = false>
struct Product {
  static constexpr int BM = GROUPS * 64;
  static constexpr int THREADS = GROUPS * 128;
  static constexpr int CHUNKS = ROW_ELEMENTS / 8;
  static constexpr int ROWS_AT_ONCE = THREADS / CHUNKS;
  static constexpr int A_ROWS = BM / ROWS_AT_ONCE;
  static constexpr int B_ROWS = (BN + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
  static constexpr int AHEAD = STAGES - 1 - IN_FLIGHT;  // steps that are copied while one is multiplied
  static constexpr int STAGE = (BM + BN) * ROW_BYTES;
  static constexpr int PITCH_SUMS = BN + 8;
  static constexpr int SHARED_SUMS = BM * PITCH_SUMS * (int)sizeof(float);
  static constexpr int SHARED = STAGES * STAGE > SHARED_SUMS ? STAGES * STAGE : SHARED_SUMS;

  // The steps from `first` to `end`.
  template <class F>
  static DEVICE void run(const T* x, const T* w, const F& finish, const Geometry& g, int K, int pitch, int first, int end) {
    SHARED_BLOCKS(shared);
    declare_shared<SHARED>();
    int thread = threadIdx.x;
    int chunk = thread % CHUNKS;
    int row = thread / CHUNKS;
    int m0 = blockIdx.x * BM;
    int n0 = blockIdx.y * BN;

    Row<DOUBLED> rows[A_ROWS];
    UNROLL
    for (int i = 0; i < A_ROWS; i++) {
      int m = m0 + row + i * ROWS_AT_ONCE;
      if (CONVOLUTION) {
        rows[i] = Row<DOUBLED>::of(g, m, finish.M);
      }
    }
    int k = first * ROW_ELEMENTS + chunk * 8;  // this thread's chunk of the next step to load
    Walk walk;
    if (CONVOLUTION) {
      walk.advance(g, k);
    }
    const T* ofX = x + (i64)(m0 + row) * K;
    const T* ofW = w + (i64)(n0 + row) * pitch;

    auto load = [&](int stage) {
      unsigned char* to = shared + stage * STAGE + swizzled(row, chunk);  // rows that are 8, 16, ... apart are swizzled alike
      UNROLL
      for (int i = 0; i < A_ROWS; i++) {
        bool use = k < K && (CONVOLUTION ? rows[i].sees(g, walk) : m0 + row + i * ROWS_AT_ONCE < finish.M);
        const T* from = CONVOLUTION ? x + (i64)(use ? rows[i].at(g, walk) : 0) * 8 : use ? ofX + (i64)i * ROWS_AT_ONCE * K + k : x;
        copy_async16(to + i * ROWS_AT_ONCE * ROW_BYTES, from, use);
      }
      UNROLL
      for (int i = 0; i < B_ROWS; i++) {
        bool use = n0 + row + i * ROWS_AT_ONCE < finish.N && k < pitch;
        if (BN % ROWS_AT_ONCE == 0 || row + i * ROWS_AT_ONCE < BN) {
          copy_async16(to + (BM + i * ROWS_AT_ONCE) * ROW_BYTES, use ? ofW + (i64)i * ROWS_AT_ONCE * pitch + k : w, use);
        }
      }
      k += ROW_ELEMENTS;
      if (CONVOLUTION) {
        walk.advance(g, ROW_ELEMENTS);
      }
    };
    after_kernels_before();
    float sums[BN / 8][4];
    UNROLL
    for (int i = 0; i < BN / 2; i++) {
      sums[i / 4][i % 4] = 0;
    }
    int steps = end - first;
    UNROLL
    for (int s = 0; s < AHEAD; s++) {
      if (s < steps) {
        load(s);
      }
      copy_commit();
    }
    int group = thread / 128;
    int stage = 0;
    int free = AHEAD;
    for (int step = 0; step < steps; step++) {
      copy_wait<AHEAD - 1>();
      BARRIER();  // this step has arrived for all, and all are done with the buffer that is loaded next
      products_begin();
      const unsigned char* at = shared + stage * STAGE;
      u64 a = operand(at + group * 64 * ROW_BYTES);
      u64 b = operand(at + BM * ROW_BYTES);
      UNROLL
      for (int j = 0; j < ROW_ELEMENTS / 16; j++) {
        Wgmma<T, BN, 0>::add(sums, a + j * 2, b + j * 2);
      }
      products_commit();
      if (step + AHEAD < steps) {
        load(free);
      }
      copy_commit();
      products_wait<IN_FLIGHT>();
      stage = stage + 1 == STAGES ? 0 : stage + 1;
      free = free + 1 == STAGES ? 0 : free + 1;
    }
    products_wait<0>();

    // Through shared memory, so that what follows is compiled once, not for every sum, and is coalesced.
    BARRIER();
    float* sumsTile = (float*)shared;  // [BM][PITCH_SUMS]
    int lane = lane_id();
    UNROLL
    for (int j = 0; j < BN / 8; j++) {
      float* to = sumsTile + (thread / 32 * 16 + lane / 4) * PITCH_SUMS + j * 8 + lane % 4 * 2;
      *(Pack<float, 2>*)to = Pack<float, 2>{{sums[j][0], sums[j][1]}};
      *(Pack<float, 2>*)(to + 8 * PITCH_SUMS) = Pack<float, 2>{{sums[j][2], sums[j][3]}};
    }
    BARRIER();
    ROLLED
    for (int i = thread; i < BM * BN / 8; i += THREADS) {
      int m = i / (BN / 8);
      int n = i % (BN / 8) * 8;
      finish_columns(finish, m0 + m, n0 + n, sumsTile + m * PITCH_SUMS + n);
    }
  }

  // One of gridDim.z parts of K, whose sums wait for product_finish.cu.
  static DEVICE void run_part(const T* x, const T* w, float* sums, int M, int N, const Geometry& g, int K, int pitch) {
    int tiles = (K + ROW_ELEMENTS - 1) / ROW_ELEMENTS;
    int first = (int)((i64)tiles * blockIdx.z / gridDim.z);
    int end = (int)((i64)tiles * (blockIdx.z + 1) / gridDim.z);
    run(x, w, PartialSums{sums + (i64)blockIdx.z * M * N, M, N}, g, K, pitch, first, end);
  }
};

#define WHOLE(NAME, T, GROUPS, BM, BN, STAGES, IN_FLIGHT, BLOCKS, ...)                                                 \
  KERNEL(NAME##_fwd_##T##_hopper_##BM##x##BN, GROUPS * 128, BLOCKS, PRODUCT_PARAMETERS(T)) {                           \
    (void)wide;                                                                                                        \
    Product<T, GROUPS, BN, STAGES, IN_FLIGHT, __VA_ARGS__>::run(                                                       \
        x + blockIdx.z * strideX, w + blockIdx.z * strideW, PRODUCT_FINISH(T), g, K, pitch, 0,                         \
        (K + ROW_ELEMENTS - 1) / ROW_ELEMENTS);                                                                        \
  }
#define PART(NAME, T, GROUPS, BM, BN, STAGES, IN_FLIGHT, BLOCKS, ...)                                                  \
  KERNEL(NAME##Part_fwd_##T##_hopper_##BM##x##BN, GROUPS * 128, BLOCKS,                                                \
         (const T* x, const T* w, float* sums, int M, int N, int K, int pitch, const Geometry g)) {                    \
    Product<T, GROUPS, BN, STAGES, IN_FLIGHT, __VA_ARGS__>::run_part(x, w, sums, M, N, g, K, pitch);                   \
  }
#define ALL(WHAT, ...)                                                                                                 \
  WHAT(linear, __VA_ARGS__, false)                                                                                     \
  WHAT(conv2d, __VA_ARGS__, true)                                                                                      \
  WHAT(conv2dDoubled, __VA_ARGS__, true, true)
#define TILES(T)                                                                                                       \
  ALL(WHOLE, T, 2, 128, 160, 3, 0, 2)                                                                                  \
  ALL(WHOLE, T, 2, 128, 128, 3, 0, 2)                                                                                  \
  ALL(WHOLE, T, 1, 64, 160, 4, 1, 2)                                                                                   \
  ALL(WHOLE, T, 1, 64, 80, 6, 1, 2)                                                                                    \
  ALL(PART, T, 1, 64, 160, 4, 1, 2)                                                                                    \
  ALL(PART, T, 1, 64, 80, 6, 1, 2)

TILES(bf16)
TILES(f16)
