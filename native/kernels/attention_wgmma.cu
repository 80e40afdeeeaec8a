// Attention of 16-bit types for Hopper: that of attention_mma.cu on wgmma. A warpgroup has 64 queries in its registers;
// scores and probabilities never leave them. While one warpgroup computes exponentials, which take about as long as the
// products, another has the tensor cores. The next keys and values arrive while these are computed, with one barrier a step.
// Rows must allow 16-byte access: others are for attention_mma.cu.
#include "attention.cuh"
#include "hopper.cuh"

constexpr int STAGES = 3;
constexpr int KEYS = 64;                       // of a step
constexpr int PANEL = KEYS * ROW_BYTES;        // 64 columns of K or V

// D: the head size that scores are computed for, a multiple of 16; smaller heads are filled up with zeros.
// DV: how many columns of V are computed, a multiple of 8.
template <class T, int D, int DV, int GROUPS>
struct Attention {
  static constexpr int THREADS = GROUPS * 128;
  static constexpr int PANELS = (D + ROW_ELEMENTS - 1) / ROW_ELEMENTS;
  static constexpr int STAGE = 2 * PANELS * PANEL;
  static constexpr int SHARED = STAGES * STAGE;
  static constexpr int CHUNKS = D / 8;
  static constexpr int LANES = CHUNKS <= 8 ? 8 : CHUNKS <= 16 ? 16 : 32;  // of a row; some may be idle

  // Rows of keys or values to their panels; rows from `valid` on and columns from `size` on become zeros.
  static DEVICE void load(unsigned char* to, const T* from, i64 width, int valid, int size) {
    int chunk = threadIdx.x % LANES;
    if (chunk >= CHUNKS) {
      return;
    }
    int first = threadIdx.x / LANES;
    UNROLL
    for (int i = 0; i < KEYS; i += THREADS / LANES) {
      int row = first + i;
      bool use = row < valid && chunk * 8 < size;
      copy_async16(to + chunk / 8 * PANEL + swizzled(row, chunk % 8), use ? from + row * width + chunk * 8 : from, use);
    }
  }

  // Operand A: of this warp's 16 queries, of which `valid` exist.
  static DEVICE void load_queries(u32 (&a)[D / 16][4], const T* q, i64 width, int valid, int size, u32 sign) {
    int lane = lane_id();
    UNROLL
    for (int i = 0; i < D / 16 * 4; i++) {
      int row = lane / 4 + i % 2 * 8;
      int column = i / 4 * 16 + i % 4 / 2 * 8 + lane % 4 * 2;
      a[i / 4][i % 4] = row < valid && column < size ? *(const u32*)(q + row * width + column) ^ sign : 0;
    }
  }

  static DEVICE void run(const T* q, const T* k, const T* v, T* y, int queries, int keys, int heads, int size, float scale,
                         int flags) {
    SHARED_BLOCKS(shared);  // [STAGES] of K and V
    declare_shared<SHARED>();
    int row0 = blockIdx.x * GROUPS * 64 + threadIdx.x / 32 * 16;
    i64 width = (i64)heads * size;
    i64 offset = (i64)blockIdx.y * size;
    q += ((i64)blockIdx.z * queries + row0) * width + offset;
    y += ((i64)blockIdx.z * queries + row0) * width + offset;
    k += (i64)blockIdx.z * keys * width + offset;
    v += (i64)blockIdx.z * keys * width + offset;
    // What the block's last query sees; and from where on a warp's first does not.
    int end = flags & CAUSAL ? min(keys, (int)(blockIdx.x + 1) * GROUPS * 64) : keys;
    int first = flags & CAUSAL ? row0 : 0x3fffffff;
    float scale2 = scale_of_powers(scale);

    load(shared, k, width, keys, size);
    load(shared + PANELS * PANEL, v, width, keys, size);
    copy_commit();
    u32 fragmentsQ[D / 16][4];
    load_queries(fragmentsQ, q, width, queries - row0, size, sign_of(scale));
    Queries<T, DV / 8> rows;
    rows.clear();

    int stage = 0;
    for (int key = 0; key < end; key += KEYS) {
      copy_wait<0>();
      publish_shared();
      BARRIER();  // this stage has arrived for all, and all are done with the one before the last
      unsigned char* now = shared + stage * STAGE;
      stage = stage + 1 == STAGES ? 0 : stage + 1;
      float scores[KEYS / 8][4];
      UNROLL
      for (int i = 0; i < KEYS / 2; i++) {
        scores[i / 4][i % 4] = 0;
      }
      products_begin();
      UNROLL
      for (int d = 0; d < D / 16; d++) {
        Wgmma<T, KEYS, 0>::multiply(scores, fragmentsQ[d], operand(now + d / 4 * PANEL) + d % 4 * 2, d > 0);
      }
      products_commit();
      int next = key + KEYS;
      if (next < end) {
        load(shared + stage * STAGE, k + next * width, width, keys - next, size);
        load(shared + stage * STAGE + PANELS * PANEL, v + next * width, width, keys - next, size);
      }
      copy_commit();
      products_wait<0>();
      rows.mask(scores, key, keys, first);
      u32 p[KEYS / 16][4];
      rows.softmax(p, scores, scale2);
      products_begin();
      UNROLL
      for (int i = 0; i < KEYS / 16; i++) {
        Wgmma<T, DV, 1>::multiply(rows.sums, p[i], operand(now + PANELS * PANEL + i * 16 * ROW_BYTES, PANEL), 1);
      }
      products_commit();
    }
    products_wait<0>();
    rows.store(y, width, queries - row0, size);
  }
};

#define ATTENTION(T, D, DV, GROUPS, NAME, BLOCKS)                                                                      \
  KERNEL(attention_fwd_##T##_hopper_##NAME, GROUPS * 128, BLOCKS,                                                      \
         (const T* q, const T* k, const T* v, T* y, int queries, int keys, int heads, int size, float scale, int flags)) { \
    Attention<T, D, DV, GROUPS>::run(q, k, v, y, queries, keys, heads, size, scale, flags);                            \
  }
#define ATTENTIONS(T)              \
  ATTENTION(T, 48, 40, 2, 40, 2)   \
  ATTENTION(T, 64, 64, 2, 64, 1)   \
  ATTENTION(T, 80, 80, 2, 80, 1)   \
  ATTENTION(T, 128, 128, 2, 128, 1) \
  ATTENTION(T, 160, 160, 2, 160, 1)

ATTENTIONS(bf16)
ATTENTIONS(f16)
