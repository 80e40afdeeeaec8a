package dev.longalign.tensor;

/**
 * The geometry of a 2-D convolution; weights are [outChannels, inChannels, kernelHeight,
 * kernelWidth] as torch stores them.
 */
public record Conv2dGeometry(
    int inChannels,
    int outChannels,
    int kernelHeight,
    int kernelWidth,
    int stride,
    int padTop,
    int padLeft,
    int padBottom,
    int padRight) {

  /** A square kernel with the same padding on every side. */
  public static Conv2dGeometry of(
      int inChannels, int outChannels, int kernel, int stride, int padding) {
    return new Conv2dGeometry(
        inChannels, outChannels, kernel, kernel, stride, padding, padding, padding, padding);
  }

  public int outHeight(int height) {
    return (height + padTop + padBottom - kernelHeight) / stride + 1;
  }

  public int outWidth(int width) {
    return (width + padLeft + padRight - kernelWidth) / stride + 1;
  }

  public Shape weightShape() {
    return Shape.of(outChannels, inChannels, kernelHeight, kernelWidth);
  }
}
