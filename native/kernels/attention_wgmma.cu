// Attention of 16-bit types for Hopper: that of attention_mma.cu on wgmma. A warpgroup has 64 queries in its registers;
// scores and probabilities never leave them. Exponentials take about as long as the products, so probabilities are
// multiplied with V while the next are computed (FlashAttention-3, Shah et al. 2024), and other warpgroups have the tensor
// cores meanwhile. Keys and values arrive two steps ahead, with one barrier a step.
// Rows must allow 16-byte access: others are for attention_mma.cu.
#include "attention.cuh"
#include "hopper.cuh"

constexpr int STAGES = 4;

// D: the head size that scores are computed for, a multiple of 16; smaller heads are filled up with zeros.
// DV: how many columns of V are computed, a multiple of 8.
// GROUPS: warpgroups of a block. KEYS: of a step.
template <class T, int D, int DV, int GROUPS, int KEYS>
struct Attention {
  static constexpr int PANEL = KEYS * ROW_BYTES;  // 64 columns of K or V
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
      if (KEYS % (THREADS / LANES) == 0 || row < KEYS) {
        bool use = row < valid && chunk * 8 < size;
        copy_async16(to + chunk / 8 * PANEL + swizzled(row, chunk % 8), use ? from + row * width + chunk * 8 : from, use);
      }
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

    int steps = (end + KEYS - 1) / KEYS;
    auto load_step = [&](int step) {
      if (step < steps) {
        unsigned char* to = shared + step % STAGES * STAGE;
        int key = step * KEYS;
        load(to, k + key * width, width, keys - key, size);
        load(to + PANELS * PANEL, v + key * width, width, keys - key, size);
      }
      copy_commit();
    };
    load_step(0);
    load_step(1);
    u32 fragmentsQ[D / 16][4];
    load_queries(fragmentsQ, q, width, queries - row0, size, sign_of(scale));
    Queries<T, DV / 8> rows;
    rows.clear();

    float scores[KEYS / 8][4];
    u32 p[KEYS / 16][4];
    float shrink[2];
    auto multiply_keys = [&](int step) {
      const unsigned char* tile = shared + step % STAGES * STAGE;
      Wgmma<T, KEYS, 0>::set(scores, fragmentsQ[0], operand(tile));
      UNROLL
      for (int d = 1; d < D / 16; d++) {
        Wgmma<T, KEYS, 0>::add(scores, fragmentsQ[d], operand(tile + d / 4 * PANEL) + d % 4 * 2);
      }
      products_commit();
    };
    auto multiply_values = [&](int step) {
      const unsigned char* tile = shared + step % STAGES * STAGE + PANELS * PANEL;
      UNROLL
      for (int i = 0; i < KEYS / 16; i++) {
        Wgmma<T, DV, 1>::add(rows.sums, p[i], operand(tile + i * 16 * ROW_BYTES, PANEL));
      }
      products_commit();
    };

    copy_wait<1>();
    BARRIER();
    products_begin();
    multiply_keys(0);
    load_step(2);
    products_wait<0>();
    rows.mask(scores, 0, keys, first);
    rows.softmax(scores, shrink, scale2);
    rows.pack(p, scores);
    for (int step = 1; step < steps; step++) {
      copy_wait<1>();
      BARRIER();  // this step has arrived for all, and all are done with the one before the last
      products_begin();
      multiply_keys(step);
      multiply_values(step - 1);
      load_step(step + 2);
      products_wait<1>();
      rows.mask(scores, step * KEYS, keys, first);
      bool grown = rows.softmax(scores, shrink, scale2);
      products_wait<0>();
      if (grown) {
        rows.scale_sums(shrink);
      }
      rows.pack(p, scores);
    }
    products_begin();
    multiply_values(steps - 1);
    products_wait<0>();
    rows.store(y, width, queries - row0, size);
  }
};

#define ATTENTION(T, D, DV, GROUPS, KEYS, NAME, BLOCKS)                                                                \
  KERNEL(attention_fwd_##T##_hopper_##NAME, GROUPS * 128, BLOCKS,                                                      \
         (const T* q, const T* k, const T* v, T* y, int queries, int keys, int heads, int size, float scale, int flags)) { \
    Attention<T, D, DV, GROUPS, KEYS>::run(q, k, v, y, queries, keys, heads, size, scale, flags);                      \
  }
#define ATTENTIONS(T)                    \
  ATTENTION(T, 48, 40, 2, 64, 40, 2)     \
  ATTENTION(T, 64, 64, 2, 64, 64, 1)     \
  ATTENTION(T, 80, 80, 2, 64, 80, 1)     \
  ATTENTION(T, 128, 128, 2, 64, 128, 1)  \
  ATTENTION(T, 160, 160, 2, 64, 160, 1)

#ifdef LAB
ATTENTION(bf16, 48, 40, 2, 64, 40_2_64, 2)
ATTENTION(bf16, 48, 40, 4, 64, 40_4_64, 1)
ATTENTION(bf16, 48, 40, 3, 64, 40_3_64, 1)
ATTENTION(bf16, 48, 40, 3, 128, 40_3_128, 1)
ATTENTION(bf16, 48, 40, 2, 128, 40_2_128, 1)
ATTENTION(bf16, 80, 80, 2, 64, 80_2_64, 1)
ATTENTION(bf16, 80, 80, 1, 64, 80_1_64, 2)
ATTENTION(bf16, 80, 80, 3, 64, 80_3_64, 1)
ATTENTION(bf16, 80, 80, 2, 128, 80_2_128, 1)
ATTENTION(bf16, 160, 160, 1, 64, 160_1_64, 1)
ATTENTION(bf16, 160, 160, 2, 64, 160_2_64, 1)
#else
ATTENTIONS(bf16)
ATTENTIONS(f16)
#endif
