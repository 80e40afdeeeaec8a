// In place: sums of gradients, averages of parameters, AdamW. Everything is read once and written once.
#include "pointwise.cuh"

// As many elements of either type as 16 bytes of the wider one.
template <class A, class B>
DEVICE void accumulate(A* into, float factor, const B* x, i64 n, int wide) {
  constexpr int N = 16 / (sizeof(A) > sizeof(B) ? sizeof(A) : sizeof(B));
  auto f = [=](float sum, float value) { return sum + factor * value; };
  if (wide) {
    zip<N>(into, x, into, n, f);
  } else {
    zip<1>(into, x, into, n, f);
  }
}

#define ACCUMULATE(A, B)                                                                               \
  KERNEL(accumulate_fwd_##A##_##B, 256, 4, (A* into, float factor, const B* x, i64 n, int wide)) {     \
    after_kernels_before();                                                                            \
    accumulate(into, factor, x, n, wide);                                                              \
  }

ACCUMULATE(f32, f32)
ACCUMULATE(f32, bf16)
ACCUMULATE(f32, f16)
ACCUMULATE(bf16, bf16)
ACCUMULATE(f16, f16)

KERNEL(average_fwd_f32, 256, 4, (f32* average, float kept, const f32* x, float taken, i64 n, int wide)) {
  after_kernels_before();
  zip(average, x, average, n, wide, [=](float sum, float value) { return kept * sum + taken * value; });
}

template <int N>
DEVICE void swap(u32* a, u32* b, i64 n) {
  typedef Pack<u32, N> Vector;
  for (i64 i = grid_thread(); i < n / N; i += grid_threads()) {
    Vector kept = ((Vector*)a)[i];
    ((Vector*)a)[i] = ((Vector*)b)[i];
    ((Vector*)b)[i] = kept;
  }
  i64 rest = n / N * N + grid_thread();
  if (rest < n) {
    u32 kept = a[rest];
    a[rest] = b[rest];
    b[rest] = kept;
  }
}

KERNEL(swap_fwd_b32, 256, 4, (u32* a, u32* b, i64 n, int wide)) {
  after_kernels_before();
  if (wide) {
    swap<4>(a, b, n);
  } else {
    swap<1>(a, b, n);
  }
}

// What is the same for all elements of a step.
struct Step {
  float gradientScale;
  float beta2;
  float toNew1;      // 1 - beta1
  float toNew2;      // 1 - beta2
  float decay;       // 1 - learning rate * weight decay
  float stepSize;    // learning rate / (1 - beta1^t)
  float correction;  // sqrt(1 - beta2^t)
  float eps;
};

template <int N>
DEVICE void adam_w(const Step& s, f32* parameter, const f32* gradient, f32* first, f32* second, i64 n) {
  typedef Pack<f32, N> Vector;
  for (i64 i = grid_thread(); i < n / N; i += grid_threads()) {
    Vector p = ((Vector*)parameter)[i];
    Vector g = ((const Vector*)gradient)[i];
    Vector m = ((Vector*)first)[i];
    Vector v = ((Vector*)second)[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      float d = g.at[j].value * s.gradientScale;
      m.at[j].value += (d - m.at[j].value) * s.toNew1;
      v.at[j].value = v.at[j].value * s.beta2 + d * d * s.toNew2;
      float root = sqrtf(v.at[j].value) / s.correction + s.eps;
      p.at[j].value = p.at[j].value * s.decay - s.stepSize * (m.at[j].value / root);
    }
    ((Vector*)parameter)[i] = p;
    ((Vector*)first)[i] = m;
    ((Vector*)second)[i] = v;
  }
}

KERNEL(adamW_fwd_f32, 256, 4,
       (const Step step, f32* parameter, const f32* gradient, f32* first, f32* second, i64 n, int wide)) {
  after_kernels_before();
  if (!wide) {
    adam_w<1>(step, parameter, gradient, first, second, n);
    return;
  }
  adam_w<4>(step, parameter, gradient, first, second, n);
  i64 done = n / 4 * 4;
  adam_w<1>(step, parameter + done, gradient + done, first + done, second + done, n - done);
}
