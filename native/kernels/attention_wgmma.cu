// Attention of 16-bit types for Hopper: that of attention_mma.cu on wgmma. A warpgroup has 64 queries in its registers;
// scores and probabilities never leave them. Exponentials take about as long as the products, so probabilities are
// multiplied with V while the next are computed, and two warpgroups take turns: one's products run while the other computes
// probabilities (FlashAttention-3, Shah et al. 2024). Rows must allow 16-byte access: others are for attention_mma.cu.
#include "attention.cuh"
#include "hopper.cuh"

// Who enqueues products next. To take a turn is also to know that the others' copies have arrived that they waited for
// before their last turn, and that they are done with the products of the turn before that.
template <int GROUPS>
struct Turns {
  DEVICE void begin() {}
  DEVICE void take() { BARRIER(); }
  DEVICE void pass() {}
  DEVICE void end() {}
};

template <>
struct Turns<2> {
  bool first = threadIdx.x < 128;

  DEVICE void begin() {
    if (!first) {
      pass();
    }
  }
  DEVICE void take() {
    if (first) {
      BARRIER_SYNC(1, 256);
    } else {
      BARRIER_SYNC(2, 256);
    }
  }
  DEVICE void pass() {
    if (first) {
      BARRIER_ARRIVE(2, 256);
    } else {
      BARRIER_ARRIVE(1, 256);
    }
  }
  DEVICE void end() {
    if (first) {
      pass();
    }
  }
};

// D: the head size that scores are computed for, a multiple of 16; smaller heads are filled up with zeros.
// DV: how many columns of V are computed, a multiple of 8.
// GROUPS: warpgroups of a block. STAGES: buffers for K and for V of a step.
template <class T, int D, int DV, int GROUPS, int STAGES>
struct Attention {
  static constexpr int KEYS = 64;  // of a step
  static constexpr int THREADS = GROUPS * 128;
  static constexpr int PANEL = KEYS * ROW_BYTES;  // 64 columns of K or V
  static constexpr int PANELS = ((D > DV ? D : DV) + ROW_ELEMENTS - 1) / ROW_ELEMENTS;
  static constexpr int STAGE = 2 * PANELS * PANEL;
  static constexpr int SHARED = STAGES * STAGE;
  // How far K is copied ahead of its products; V, which is needed a step later, one step less. The other two buffers are
  // being read: by this step's products and, of a warpgroup whose turn comes later, by those of the step before.
  static constexpr int AHEAD = STAGES - 2;
  // Copies have arrived a step before they are needed where another warpgroup takes its turn without waiting for them.
  static constexpr int ON_THE_WAY = GROUPS == 1 ? AHEAD - 1 : AHEAD - 2;
  static constexpr int CHUNKS = ROW_ELEMENTS / 8;
  static constexpr int ROWS_AT_ONCE = THREADS / CHUNKS;

  // Copies K of one step after the other, and V of the step before: this thread's rows are `first`, + ROWS_AT_ONCE, ...
  struct Loader {
    const T* k;      // this thread's first chunk of the next step
    i64 toV;         // from there, to the step before in V
    i64 apart;       // of its rows
    i64 ofStep;
    int left;        // rows from the first of the step on
    int first, chunk, size;
    unsigned char* to;  // in the first stage

    DEVICE Loader(unsigned char* shared, const T* k, const T* v, i64 width, int keys, int size)
        : apart(ROWS_AT_ONCE * width), ofStep(KEYS * width), left(keys), size(size) {
      first = threadIdx.x / CHUNKS;
      chunk = threadIdx.x % CHUNKS;
      this->k = k + first * width + chunk * 8;
      toV = v - k - ofStep;
      to = shared + swizzled(first, chunk);  // rows that are 8, 16, ... apart are swizzled alike
    }

    // Rows that do not exist and columns from `size` on become zeros.
    template <int COLUMNS>
    DEVICE void copy(unsigned char* to, const T* from, int rows) const {
      UNROLL
      for (int panel = 0; panel < PANELS; panel++) {
        int column = (panel * CHUNKS + chunk) * 8;
        if (column >= COLUMNS) {
          continue;
        }
        UNROLL
        for (int i = 0; i < KEYS / ROWS_AT_ONCE; i++) {
          bool use = column < size && first + i * ROWS_AT_ONCE < rows;
          copy_async16(to + panel * PANEL + i * ROWS_AT_ONCE * ROW_BYTES, from + (use ? i * apart + panel * ROW_ELEMENTS : 0), use);
        }
      }
    }

    DEVICE void keys(int stage) const { copy<D>(to + stage * STAGE, k, left); }
    DEVICE void values(int stage) const { copy<DV>(to + stage * STAGE + PANELS * PANEL, k + toV, left + KEYS); }

    DEVICE void next() {
      k += ofStep;
      left -= KEYS;
    }
  };

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
    Loader loader(shared, k, v, width, keys, size);
    ROLLED
    for (int s = 0; s < AHEAD; s++) {
      if (s < steps) {
        loader.keys(s);
      }
      if (s > 0 && s <= steps) {
        loader.values(s - 1);
      }
      loader.next();
      copy_commit();
    }
    u32 fragmentsQ[D / 16][4];
    load_queries(fragmentsQ, q, width, queries - row0, size, sign_of(scale));
    Queries<T, DV / 8> rows;
    rows.clear();

    float scores[KEYS / 8][4];
    u32 p[KEYS / 16][4];
    float shrink[2];
    u64 ofKeys = operand(shared);
    u64 ofValues = operand(shared + PANELS * PANEL, PANEL);
    auto multiply_keys = [&](int stage) {
      u64 b = ofKeys + stage * (STAGE / 16);
      Wgmma<T, KEYS, 0>::set(scores, fragmentsQ[0], b);
      UNROLL
      for (int d = 1; d < D / 16; d++) {
        Wgmma<T, KEYS, 0>::add(scores, fragmentsQ[d], b + d / 4 * (PANEL / 16) + d % 4 * 2);
      }
      products_commit();
    };
    auto multiply_values = [&](int stage) {
      u64 b = ofValues + stage * (STAGE / 16);
      UNROLL
      for (int i = 0; i < KEYS / 16; i++) {
        Wgmma<T, DV, 1>::add(rows.sums, p[i], b + i * ROW_BYTES);  // 16 rows on
      }
      products_commit();
    };

    // The stage of the step `back` before this one.
    int stage = 0;
    auto stage_before = [&](int back) { return stage < back ? stage + STAGES - back : stage - back; };
    auto load = [&](int step) {
      if (step + AHEAD < steps) {
        loader.keys(stage_before(2));
      }
      if (step + AHEAD <= steps) {
        loader.values(stage_before(3));
      }
      loader.next();
      copy_commit();
    };

    Turns<GROUPS> turns;
    copy_wait<ON_THE_WAY>();
    turns.begin();
    turns.take();
    products_begin();
    multiply_keys(0);
    turns.pass();
    load(0);
    products_wait<0>();
    rows.mask(scores, 0, keys, first);
    rows.softmax(scores, shrink, scale2);
    rows.pack(p, scores);
    for (int step = 1; step < steps; step++) {
      copy_wait<ON_THE_WAY>();
      turns.take();
      products_begin();
      stage = stage_before(STAGES - 1);
      multiply_keys(stage);
      multiply_values(stage_before(1));
      turns.pass();
      load(step);
      products_wait<1>();
      rows.mask(scores, step * KEYS, keys, first);
      bool grown = rows.softmax(scores, shrink, scale2);
      finish_before_waiting(rows.total[0] + rows.total[1]);
      products_wait<0>();
      if (grown) {
        rows.scale_sums(shrink);
      }
      rows.pack(p, scores);
    }
    copy_wait<0>();
    turns.take();
    products_begin();
    multiply_values(stage);
    turns.end();
    products_wait<0>();
    rows.store(y, width, queries - row0, size);
  }
};

#define ATTENTION(T, D, DV, GROUPS, STAGES, NAME, BLOCKS)                                                              \
  KERNEL(attention_fwd_##T##_hopper_##NAME, GROUPS * 128, BLOCKS,                                                      \
         (const T* q, const T* k, const T* v, T* y, int queries, int keys, int heads, int size, float scale, int flags)) { \
    Attention<T, D, DV, GROUPS, STAGES>::run(q, k, v, y, queries, keys, heads, size, scale, flags);                    \
  }
#define ATTENTIONS(T)                   \
  ATTENTION(T, 48, 40, 2, 5, 40, 2)     \
  ATTENTION(T, 64, 64, 2, 5, 64, 1)     \
  ATTENTION(T, 80, 80, 2, 5, 80, 1)     \
  ATTENTION(T, 128, 128, 2, 5, 128, 1)  \
  ATTENTION(T, 160, 160, 1, 4, 160, 1)

ATTENTIONS(bf16)
ATTENTIONS(f16)
