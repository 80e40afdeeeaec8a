package dev.longalign.tensor;

import java.util.Arrays;

/** The operations of training in plain loops. */
final class ReferenceTraining implements TrainingOps {
  private final ReferenceBackend backend;

  ReferenceTraining(ReferenceBackend backend) {
    this.backend = backend;
  }

  @Override
  public Tensor linear(Tensor x, Tensor weight, Tensor bias) {
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(x.linear(backend.packLinear(weight, bias, x.dtype())));
    }
  }

  @Override
  public Tensor conv2d(Tensor x, Tensor weight, Conv2dGeometry geometry) {
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(x.conv2d(backend.packConv2d(weight, null, geometry, x.dtype())));
    }
  }

  @Override
  public Tensor causalAttention(Tensor q, Tensor k, Tensor v, int heads, float scale) {
    return backend.attention(q, k, v, heads, scale, true);
  }

  private interface Function {
    double of(int index, double value);
  }

  private Tensor map(Tensor x, Function function) {
    double[] values = backend.doubles(x);
    for (int i = 0; i < values.length; i++) {
      values[i] = function.of(i, values[i]);
    }
    return backend.of(x.dtype(), x.shape(), values);
  }

  @Override
  public Tensor multiply(Tensor a, Tensor b) {
    double[] other = backend.doubles(b);
    return map(a, (i, v) -> v * other[i]);
  }

  @Override
  public Tensor dropout(Tensor x, float p, long key) {
    return map(x, (i, v) -> Dropout.keeps(key, i, p) ? v / (1 - p) : 0);
  }

  @Override
  public Tensor pseudoHuber(Tensor x, float c) {
    return map(x, (i, v) -> Math.sqrt(v * v + (double) c * c) - c);
  }

  @Override
  public Tensor normalizeRows(Tensor x) {
    double[] values = backend.doubles(x);
    int width = x.dim(-1);
    return map(
        x,
        (i, v) -> {
          double squares = 0;
          for (int c = i / width * width; c < (i / width + 1) * width; c++) {
            squares += values[c] * values[c];
          }
          return v / Math.sqrt(squares);
        });
  }

  @Override
  public Tensor scaleExp(Tensor x, Tensor logScale) {
    double scale = Math.exp(backend.doubles(logScale)[0]);
    return map(x, (i, v) -> scale * v);
  }

  @Override
  public Tensor gatherRows(Tensor x, int[] rows) {
    double[] values = backend.doubles(x);
    Shape shape = x.shape().with(0, rows.length);
    int width = Math.toIntExact(x.shape().size() / x.dim(0));
    double[] taken = new double[Math.toIntExact(shape.size())];
    for (int i = 0; i < taken.length; i++) {
      taken[i] = values[rows[i / width] * width + i % width];
    }
    return backend.of(x.dtype(), shape, taken);
  }

  @Override
  public Tensor logSumExp(Tensor x) {
    double[] values = backend.doubles(x);
    int width = x.dim(-1);
    long[] dims = x.shape().toArray();
    double[] logs = new double[values.length / width];
    for (int row = 0; row < logs.length; row++) {
      double[] some = Arrays.copyOfRange(values, row * width, (row + 1) * width);
      double max = Arrays.stream(some).max().orElseThrow();
      logs[row] = max + Math.log(Arrays.stream(some).map(v -> Math.exp(v - max)).sum());
    }
    return backend.of(DType.F32, Shape.of(Arrays.copyOf(dims, dims.length - 1)), logs);
  }

  @Override
  public Tensor slice(Tensor x, int axis, long from, long to) {
    double[] values = backend.doubles(x);
    Shape shape = x.shape().with(axis, to - from);
    double[] part = new double[Math.toIntExact(shape.size())];
    int inner = 1;
    for (int i = axis + 1; i < shape.rank(); i++) {
      inner *= shape.intDim(i);
    }
    for (int i = 0; i < part.length; i++) {
      int run = (int) (to - from) * inner;
      part[i] = values[i / run * x.dim(axis) * inner + (int) from * inner + i % run];
    }
    return backend.of(x.dtype(), shape, part);
  }

  @Override
  public Tensor sum(Tensor x) {
    return backend.of(
        DType.F32, Shape.of(), new double[] {Arrays.stream(backend.doubles(x)).sum()});
  }

  @Override
  public Tensor rowDots(Tensor a, Tensor b) {
    long[] dims = a.shape().toArray();
    Shape shape = Shape.of(Arrays.copyOf(dims, dims.length - 1));
    double[] left = backend.doubles(a);
    double[] right = backend.doubles(b);
    double[] dots = new double[Math.toIntExact(shape.size())];
    for (int i = 0; i < left.length; i++) {
      dots[i / a.dim(-1)] += left[i] * right[i];
    }
    return backend.of(DType.F32, shape, dots);
  }

  private void write(Tensor into, double[] values) {
    float[] data = backend.data(into);
    for (int i = 0; i < values.length; i++) {
      data[ReferenceBackend.start(into) + i] = ReferenceMath.round(into.dtype(), values[i]);
    }
  }

  @Override
  public void accumulate(Tensor into, float factor, Tensor x) {
    double[] sums = backend.doubles(into);
    double[] values = backend.doubles(x);
    for (int i = 0; i < sums.length; i++) {
      sums[i] += factor * values[i];
    }
    write(into, sums);
  }

  @Override
  public double sumOfSquares(Tensor x) {
    return Arrays.stream(backend.doubles(x)).map(v -> v * v).sum();
  }

  @Override
  public void adamW(AdamW s, Tensor parameter, Tensor gradient, Tensor first, Tensor second) {
    double[] p = backend.doubles(parameter);
    double[] g = backend.doubles(gradient);
    double[] m = backend.doubles(first);
    double[] v = backend.doubles(second);
    for (int i = 0; i < p.length; i++) {
      double d = g[i] * s.gradientScale();
      m[i] = s.beta1() * m[i] + (1 - s.beta1()) * d;
      v[i] = s.beta2() * v[i] + (1 - s.beta2()) * d * d;
      double mHat = m[i] / (1 - Math.pow(s.beta1(), s.step()));
      double vHat = v[i] / (1 - Math.pow(s.beta2(), s.step()));
      p[i] -= s.learningRate() * s.weightDecay() * p[i];
      p[i] -= s.learningRate() * mHat / (Math.sqrt(vHat) + s.eps());
    }
    write(parameter, p);
    write(first, m);
    write(second, v);
  }
}
