package dev.longalign.tensor;

/** A convolution kernel, transposed so that the inner loop runs along the output channels. */
final class ReferenceConv2d extends Conv2dWeight {
  private final ReferenceMemory.Counter counter;
  private final double[] weight; // [kernelHeight, kernelWidth, in, out]
  private final double[] bias; // [out]

  /** {@code weight} is [out, in, kernelHeight, kernelWidth]. */
  ReferenceConv2d(
      ReferenceMemory.Counter counter,
      float[] weight,
      float[] bias,
      Conv2dGeometry g,
      DType dtype) {
    super(g, dtype);
    this.counter = counter;
    this.weight = new double[weight.length];
    this.bias = new double[bias.length];
    for (int o = 0; o < bias.length; o++) {
      this.bias[o] = bias[o];
    }
    int taps = g.kernelHeight() * g.kernelWidth();
    for (int i = 0; i < weight.length; i++) {
      int tap = i % taps;
      int in = i / taps % g.inChannels();
      int out = i / taps / g.inChannels();
      this.weight[(tap * g.inChannels() + in) * g.outChannels() + out] =
          ReferenceMath.round(dtype, weight[i]);
    }
    counter.add(bytes());
  }

  /**
   * The sums at the output pixel whose kernel begins at (top, left) of the input image; outside it
   * everything is 0.
   *
   * @param image where the image [height, width, in] begins in x
   */
  double[] apply(float[] x, int image, int height, int width, int top, int left) {
    Conv2dGeometry g = geometry();
    double[] sums = bias.clone();
    for (int i = 0; i < g.kernelHeight(); i++) {
      for (int j = 0; j < g.kernelWidth(); j++) {
        int row = top + i;
        int column = left + j;
        if (row < 0 || row >= height || column < 0 || column >= width) {
          continue;
        }
        int pixel = image + (row * width + column) * g.inChannels();
        int tap = i * g.kernelWidth() + j;
        for (int in = 0; in < g.inChannels(); in++) {
          ReferenceLinear.addScaled(
              sums, x[pixel + in], weight, (tap * g.inChannels() + in) * g.outChannels());
        }
      }
    }
    return sums;
  }

  /** The weight from input channel {@code in} to {@code out} at a place of the kernel. */
  double at(int out, int in, int row, int column) {
    Conv2dGeometry g = geometry();
    int tap = row * g.kernelWidth() + column;
    return weight[(tap * g.inChannels() + in) * g.outChannels() + out];
  }

  private long bytes() {
    return 8L * (weight.length + bias.length);
  }

  @Override
  protected void release() {
    counter.add(-bytes());
  }
}
