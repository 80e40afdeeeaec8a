// Loops over elements, 16 bytes a thread where the operands are aligned (`wide`).
#pragma once
#include "device.cuh"

// y[i] = f(i, x[i])
template <class T, class F>
DEVICE void map_indexed(const T* x, T* y, i64 n, int wide, F f) {
  if (wide) {
    typedef typename Wide<T>::Type Vector;
    i64 vectors = n / Wide<T>::N;
    for (i64 i = grid_thread(); i < vectors; i += grid_threads()) {
      Vector v = ((const Vector*)x)[i];
      UNROLL
      for (int j = 0; j < Wide<T>::N; j++) {
        v.at[j] = from_float<T>(f(i * Wide<T>::N + j, to_float(v.at[j])));
      }
      ((Vector*)y)[i] = v;
    }
    i64 rest = vectors * Wide<T>::N + grid_thread();
    if (rest < n) {
      y[rest] = from_float<T>(f(rest, to_float(x[rest])));
    }
    return;
  }
  for (i64 i = grid_thread(); i < n; i += grid_threads()) {
    y[i] = from_float<T>(f(i, to_float(x[i])));
  }
}

// y[i] = f(x[i])
template <class T, class F>
DEVICE void map(const T* x, T* y, i64 n, int wide, F f) {
  map_indexed(x, y, n, wide, [=](i64, float value) { return f(value); });
}

// y[i] = f(a[i], b[i]), N elements a thread; y may be a.
template <int N, class A, class B, class F>
DEVICE void zip(const A* a, const B* b, A* y, i64 n, F f) {
  i64 vectors = n / N;
  for (i64 i = grid_thread(); i < vectors; i += grid_threads()) {
    Pack<A, N> v = ((const Pack<A, N>*)a)[i];
    Pack<B, N> w = ((const Pack<B, N>*)b)[i];
    UNROLL
    for (int j = 0; j < N; j++) {
      v.at[j] = from_float<A>(f(to_float(v.at[j]), to_float(w.at[j])));
    }
    ((Pack<A, N>*)y)[i] = v;
  }
  i64 rest = vectors * N + grid_thread();
  if (rest < n) {
    y[rest] = from_float<A>(f(to_float(a[rest]), to_float(b[rest])));
  }
}

template <class A, class B, class F>
DEVICE void zip(const A* a, const B* b, A* y, i64 n, int wide, F f) {
  if (wide) {
    zip<Wide<A>::N>(a, b, y, n, f);
  } else {
    zip<1>(a, b, y, n, f);
  }
}
