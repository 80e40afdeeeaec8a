package dev.longalign.cli.verify;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;

/** Between the reference's channels-first order and ours. */
final class Layouts {
  private Layouts() {}

  /** [B, C, H, W] on the host to [B, H, W, C] on the device. */
  static Tensor toNhwc(Backend backend, Shape nchw, float[] values) {
    int channels = nchw.intDim(1);
    int pixels = nchw.intDim(2) * nchw.intDim(3);
    float[] reordered = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      int b = i / (channels * pixels);
      reordered[(b * pixels + i % pixels) * channels + i / pixels % channels] = values[i];
    }
    Shape nhwc = Shape.of(nchw.dim(0), nchw.dim(2), nchw.dim(3), nchw.dim(1));
    return Tensor.of(backend, nhwc, reordered);
  }

  /** [B, H, W, C] on the device to [B, C, H, W] on the host. */
  static float[] toNchw(Tensor nhwc) {
    float[] values = nhwc.toFloats();
    int channels = nhwc.dim(3);
    int pixels = nhwc.dim(1) * nhwc.dim(2);
    float[] reordered = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      int b = i / (channels * pixels);
      reordered[(b * channels + i % channels) * pixels + i / channels % pixels] = values[i];
    }
    return reordered;
  }

  /** The shape [B, C, H, W] of an [B, H, W, C] tensor. */
  static Shape nchw(Shape nhwc) {
    return Shape.of(nhwc.dim(0), nhwc.dim(3), nhwc.dim(1), nhwc.dim(2));
  }
}
