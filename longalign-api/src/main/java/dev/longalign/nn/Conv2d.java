package dev.longalign.nn;

import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;

/** A 2-D convolution with bias over [B, H, W, C]. */
public final class Conv2d {
  private final Weights.Packed<Conv2dWeight> packed;

  public Conv2d(Weights weights, Conv2dGeometry geometry) {
    this.packed = weights.conv2d(geometry);
  }

  /** A square kernel that keeps the size of the picture; {@code kernel} is odd. */
  public static Conv2d same(Weights weights, int in, int out, int kernel) {
    return new Conv2d(weights, Conv2dGeometry.of(in, out, kernel, 1, (kernel - 1) / 2));
  }

  public Tensor forward(Tensor x) { // [B, H, W, in] -> [B, H', W', out]
    return forward(x, Epilogue.NONE);
  }

  /** Of the picture enlarged to height x width, nearest neighbour. */
  public Tensor upsampled(Tensor x, int height, int width) {
    if (packed.branch() == null) {
      return x.upsampleConv2d(height, width, packed.weight());
    }
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(forward(x.upsampleNearest(height, width)));
    }
  }

  /** With activation, channel bias and residual fused. */
  public Tensor forward(Tensor x, Epilogue epilogue) {
    if (packed.branch() == null) {
      return x.conv2d(packed.weight(), epilogue);
    }
    return Branching.forward(packed.branch(), x, epilogue, e -> x.conv2d(packed.weight(), e));
  }
}
