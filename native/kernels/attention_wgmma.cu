// Attention of 16-bit types for Hopper: that of attention_mma.cu on wgmma and bulk copies. A warpgroup has 64 queries in its
// registers; scores and probabilities never leave them. Exponentials take about as long as the products, so probabilities are
// multiplied with V while the next are computed, and two warpgroups take turns: one's products run while the other computes
// probabilities (FlashAttention-3, Shah et al. 2024). Rows must allow 16-byte access: others are for attention_mma.cu.
#include "attention.cuh"
#include "hopper.cuh"

// Who enqueues products next. A turn is passed when the scores are there: from then on the tensor cores would be idle. To
// take one is also to know that the others are done with the products of the turn before their last.
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

// D: the head size that scores are computed for, a multiple of 16; smaller heads are filled up with zeros. Queries of more than
// 160 are in shared memory.
// DV: how many columns of V are computed, a multiple of 8; where a head has more, the grid has as many blocks beside each other.
// KEYS: of a step. GROUPS: warpgroups of a block. STAGES: buffers for what a turn multiplies: K of its step, and V of the step
// before. Two are being read, by this turn's products and, of another warpgroup, those of the turn before.
template <class T, int D, int DV, int KEYS, int GROUPS, int STAGES>
struct Attention {
  static constexpr bool KEEP_Q = D <= 160;
  static constexpr int PANEL_Q = 64 * ROW_BYTES;  // 64 queries of a warpgroup, 64 columns
  static constexpr int PANEL = KEYS * ROW_BYTES;  // 64 columns of K or V
  static constexpr int PANELS_K = (D + ROW_ELEMENTS - 1) / ROW_ELEMENTS;
  static constexpr int PANELS_V = (DV + ROW_ELEMENTS - 1) / ROW_ELEMENTS;
  static constexpr int OF_Q = KEEP_Q ? 0 : PANELS_K * PANEL_Q;  // bytes of a warpgroup's
  static constexpr int OF_K = PANELS_K * PANEL;
  static constexpr int OF_V = PANELS_V * PANEL;
  static constexpr int STAGE = OF_K + OF_V;
  static constexpr int SHARED = GROUPS * OF_Q + STAGES * (STAGE + (int)sizeof(u64));
  static constexpr int AHEAD = STAGES - 2;  // turns for which copies have been asked for
  typedef u32 Probabilities[KEYS / 16][4];

  // Operand A: of this warp's 16 queries, of which `valid` exist; the last stands for those that do not. All are loaded before
  // one is used.
  static DEVICE void load_queries(u32 (&a)[KEEP_Q ? D / 16 : 1][4], const T* q, i64 width, int valid, int size, u32 sign) {
    int lane = lane_id();
    const T* rows[2];
    UNROLL
    for (int half = 0; half < 2; half++) {
      rows[half] = q + min(lane / 4 + half * 8, valid - 1) * width + lane % 4 * 2;
    }
    UNROLL
    for (int i = 0; KEEP_Q && i < D / 16 * 4; i++) {
      int column = i / 4 * 16 + i % 4 / 2 * 8;
      a[i / 4][i % 4] = *(const u32*)(rows[i % 2] + (column < size ? column : 0));
    }
    UNROLL
    for (int i = 0; KEEP_Q && i < D / 16 * 4; i++) {
      int column = i / 4 * 16 + i % 4 / 2 * 8;
      a[i / 4][i % 4] = column < size ? a[i / 4][i % 4] ^ sign : 0;
    }
  }

  // The warpgroup's 64 queries, from this warp's 16 on, as an operand in shared memory.
  static DEVICE void copy_queries(unsigned char* to, const T* q, i64 width, int valid, int size, u32 sign) {
    int row = threadIdx.x / 32 % 4 * 16;
    for (int i = lane_id(); i < 16 * D / 8; i += 32) {
      int r = i / (D / 8);
      int column = i % (D / 8) * 8;
      Pack<u32, 4> eight = {{0, 0, 0, 0}};
      if (r < valid && column < size) {
        eight = *(const Pack<u32, 4>*)(q + r * width + column);
      }
      UNROLL
      for (int j = 0; j < 4; j++) {
        eight.at[j] ^= sign;
      }
      *(Pack<u32, 4>*)(to + column / ROW_ELEMENTS * PANEL_Q + swizzled(row + r, column % ROW_ELEMENTS / 8)) = eight;
    }
  }

  // k and v: of [batch, keys, heads, size], in boxes of KEYS x 64.
  static DEVICE void run(const T* q, const TensorMap& k, const TensorMap& v, T* y, int queries, int keys, int heads, int size,
                         float scale, int flags) {
    SHARED_BLOCKS(shared);
    declare_shared<SHARED>();
    int row0 = blockIdx.x * GROUPS * 64 + threadIdx.x / 32 * 16;
    int slices = (size + DV - 1) / DV;
    int head = blockIdx.y / slices;
    int firstV = (blockIdx.y - head * slices) * DV;
    i64 width = (i64)heads * size;
    i64 offset = ((i64)blockIdx.z * queries + row0) * width + head * size;
    q += offset;
    y += offset + firstV;
    // What the block's last query sees; and from where on a warp's first does not.
    int end = flags & CAUSAL ? min(keys, (int)(blockIdx.x + 1) * GROUPS * 64) : keys;
    int first = flags & CAUSAL ? row0 : 0x3fffffff;
    float scale2 = scale_of_powers(scale);

    int steps = (end + KEYS - 1) / KEYS;
    unsigned char* sharedK = shared + GROUPS * OF_Q;
    u32 stages = kept_address(sharedK);
    u32 arrivals = kept_address(sharedK + STAGES * STAGE);  // an mbarrier a stage
    auto copy = [&](int stage, int turn) {
      u32 to = stages + stage * STAGE;
      u32 arrival = arrivals + stage * (int)sizeof(u64);
      mbarrier_expect(arrival, (turn < steps ? OF_K : 0) + (turn > 0 ? OF_V : 0));
      UNROLL
      for (int panel = 0; turn < steps && panel < PANELS_K; panel++) {
        copy_box(to + panel * PANEL, k, panel * ROW_ELEMENTS, head, turn * KEYS, blockIdx.z, arrival);
      }
      to += OF_K;
      UNROLL
      for (int panel = 0; turn > 0 && panel < PANELS_V; panel++) {
        copy_box(to + panel * PANEL, v, firstV + panel * ROW_ELEMENTS, head, (turn - 1) * KEYS, blockIdx.z, arrival);
      }
    };
    bool copies = threadIdx.x == 0;
    if (copies) {
      UNROLL
      for (int stage = 0; stage < STAGES; stage++) {
        mbarrier_make(arrivals + stage * (int)sizeof(u64));
      }
      seen_by_copies_and_products();
    }
    after_kernels_before();
    if (copies) {
      UNROLL
      for (int turn = 0; turn < AHEAD; turn++) {
        if (turn <= steps) {
          copy(turn, turn);
        }
      }
    }
    u32 fragmentsQ[KEEP_Q ? D / 16 : 1][4];
    u64 ofQueries = 0;
    if (KEEP_Q) {
      load_queries(fragmentsQ, q, width, queries - row0, size, sign_of(scale));
    } else {
      unsigned char* sharedQ = shared + threadIdx.x / 128 * OF_Q;
      copy_queries(sharedQ, q, width, queries - row0, size, sign_of(scale));
      seen_by_copies_and_products();
      ofQueries = operand(sharedQ);
    }
    Queries<T, DV / 8> rows;
    rows.clear();
    BARRIER();

    float scores[KEYS / 8][4];
    float shrink[2];
    int stage = 0;
    int parity = 0;
    u64 ofKeys = operand(sharedK);
    u64 ofValues = operand(sharedK + OF_K, PANEL);
    auto multiply_keys = [&]() {
      u64 b = ofKeys + stage * (STAGE / 16);
      if (KEEP_Q) {
        Wgmma<T, KEYS, 0>::set(scores, fragmentsQ[0], b);
      } else {
        Wgmma<T, KEYS, 0>::set(scores, ofQueries, b);
      }
      UNROLL
      for (int d = 1; d < D / 16; d++) {
        u64 columns = b + d / 4 * (PANEL / 16) + d % 4 * 2;
        if (KEEP_Q) {
          Wgmma<T, KEYS, 0>::add(scores, fragmentsQ[KEEP_Q ? d : 0], columns);
        } else {
          Wgmma<T, KEYS, 0>::add(scores, ofQueries + d / 4 * (PANEL_Q / 16) + d % 4 * 2, columns);
        }
      }
      products_commit();
    };
    auto multiply_values = [&](const Probabilities& p) {
      u64 b = ofValues + stage * (STAGE / 16);
      UNROLL
      for (int i = 0; i < KEYS / 16; i++) {
        Wgmma<T, DV, 1>::add(rows.sums, p[i], b + i * ROW_BYTES);  // 16 rows on
      }
      products_commit();
    };
    auto load = [&](int turn) {
      if (copies && turn + AHEAD <= steps) {
        copy(stage + AHEAD < STAGES ? stage + AHEAD : stage + AHEAD - STAGES, turn + AHEAD);
      }
    };
    auto arrive = [&]() { mbarrier_wait(arrivals + stage * (int)sizeof(u64), parity); };
    auto next = [&]() {
      stage++;
      if (stage == STAGES) {
        stage = 0;
        parity ^= 1;
      }
      arrive();
    };

    Turns<GROUPS> turns;
    Probabilities p[2];  // in turn, for products read one while the other is written
    arrive();
    turns.begin();
    turns.take();
    products_begin();
    multiply_keys();
    load(0);
    products_wait<0>();
    turns.pass();
    rows.mask(scores, 0, keys, first);
    rows.template softmax<true>(p[0], scores, shrink, scale2, [] {});
    auto step = [&](int turn, const Probabilities& before, Probabilities& now) {
      next();
      turns.take();
      products_begin();
      multiply_keys();
      multiply_values(before);
      load(turn);
      products_wait<1>();
      rows.mask(scores, turn * KEYS, keys, first);
      bool grown = rows.template softmax<false>(now, scores, shrink, scale2, [&] { turns.pass(); });
      products_wait<0>();
      if (grown) {
        rows.scale_sums(shrink);
      }
    };
    auto last = [&](const Probabilities& before) {
      next();
      turns.take();
      products_begin();
      multiply_values(before);
    };
    int turn = 1;
    ROLLED
    for (; turn + 1 < steps; turn += 2) {
      step(turn, p[0], p[1]);
      step(turn + 1, p[1], p[0]);
    }
    if (turn < steps) {
      step(turn, p[0], p[1]);
      last(p[1]);
    } else {
      last(p[0]);
    }
    turns.end();
    products_wait<0>();
    rows.store(y, width, queries - row0, min(DV, size - firstV));
  }
};

#define ATTENTION(T, D, DV, KEYS, GROUPS, STAGES, NAME, BLOCKS)                                                        \
  KERNEL(attention_fwd_##T##_hopper_##NAME, GROUPS * 128, BLOCKS,                                                      \
         (const T* q, TENSOR_MAP k, TENSOR_MAP v, T* y, int queries, int keys, int heads, int size, float scale, int flags)) { \
    Attention<T, D, DV, KEYS, GROUPS, STAGES>::run(q, k, v, y, queries, keys, heads, size, scale, flags);              \
  }
#define ATTENTIONS(T)                       \
  ATTENTION(T, 48, 40, 64, 2, 4, 40, 2)     \
  ATTENTION(T, 64, 64, 128, 2, 4, 64, 1)    \
  ATTENTION(T, 80, 80, 128, 2, 3, 80, 1)    \
  ATTENTION(T, 128, 128, 64, 2, 4, 128, 1)  \
  ATTENTION(T, 160, 160, 64, 1, 4, 160, 1)  \
  ATTENTION(T, 512, 256, 32, 1, 3, 512, 1)

ATTENTIONS(bf16)
ATTENTIONS(f16)
