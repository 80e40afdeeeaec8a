package dev.longalign.model;

import dev.longalign.nn.Conv2d;
import dev.longalign.nn.Weights;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Tensor;

/**
 * The 3x3 convolutions that halve and double a picture. Reference: {@code Downsample2D}, {@code
 * Upsample2D}.
 */
final class Sampling2D {
  private final Conv2d conv;

  private Sampling2D(Conv2d conv) {
    this.conv = conv;
  }

  /**
   * Stride 2; padding 0 stands for one row below and one column to the right, as in the reference.
   */
  static Sampling2D down(Weights weights, int channels, int padding) {
    Conv2dGeometry geometry =
        padding == 0
            ? new Conv2dGeometry(channels, channels, 3, 3, 2, 0, 0, 1, 1)
            : Conv2dGeometry.of(channels, channels, 3, 2, padding);
    return new Sampling2D(new Conv2d(weights.at("conv"), geometry));
  }

  static Sampling2D up(Weights weights, int channels) {
    return new Sampling2D(Conv2d.same(weights.at("conv"), channels, channels, 3));
  }

  Tensor down(Tensor x) { // [B, H, W, C] -> [B, H/2, W/2, C]
    return conv.forward(x);
  }

  Tensor up(Tensor x, int height, int width) { // [B, H, W, C] -> [B, height, width, C]
    return conv.upsampled(x, height, width);
  }
}
