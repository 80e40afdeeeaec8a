package dev.longalign.tensor;

/** A weight matrix, transposed so that the inner loop runs along the outputs. */
final class ReferenceLinear extends LinearWeight {
  private final ReferenceMemory.Counter counter;
  private final double[] weight; // [in, out]
  private final double[] bias; // [out]

  /**
   * @param weight [out, in]
   * @param outFeatures what is declared: half of out for GEGLU
   */
  ReferenceLinear(
      ReferenceMemory.Counter counter, float[] weight, float[] bias, int outFeatures, DType dtype) {
    super(weight.length / bias.length, outFeatures, dtype);
    this.counter = counter;
    this.weight = new double[weight.length];
    this.bias = new double[bias.length];
    int in = inFeatures();
    int out = bias.length;
    for (int o = 0; o < out; o++) {
      this.bias[o] = bias[o];
      for (int i = 0; i < in; i++) {
        this.weight[i * out + o] = ReferenceMath.round(dtype, weight[o * in + i]);
      }
    }
    counter.add(bytes());
  }

  /** {@code W x + b} for the row of x that begins at {@code from}. */
  double[] apply(float[] x, int from) {
    double[] sums = bias.clone();
    for (int i = 0; i < inFeatures(); i++) {
      addScaled(sums, x[from + i], weight, i * sums.length);
    }
    return sums;
  }

  /**
   * {@code sums += x * weights[from ...]}, the inner loop of every product with a packed weight.
   */
  static void addScaled(double[] sums, double x, double[] weights, int from) {
    for (int o = 0; o < sums.length; o++) {
      sums[o] += x * weights[from + o];
    }
  }

  /** {@code W[out, in]}; for GEGLU, out counts both halves. */
  double at(int out, int in) {
    return weight[in * bias.length + out];
  }

  private long bytes() {
    return 8L * (weight.length + bias.length);
  }

  @Override
  protected void release() {
    counter.add(-bytes());
  }
}
