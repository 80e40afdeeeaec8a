package dev.longalign.model;

import dev.longalign.nn.LayerBranch;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.Uploads;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;

/**
 * {@code base(x) + scale * up(down(x))}. Up is a matrix over the channels, so it is linear beside
 * convolutions too.
 */
final class LoraBranch implements LayerBranch {
  private final LinearWeight down;
  private final Conv2dWeight downConv;
  private final LinearWeight up;

  LoraBranch(Lora.Entry entry, float scale, Backend backend, DType dtype, TensorScope owner) {
    LayerSpec layer = entry.layer();
    Conv2dGeometry conv = layer.conv();
    long rank = entry.rank();
    try (TensorScope scope = TensorScope.open()) {
      if (conv == null || conv.kernelHeight() * conv.kernelWidth() == 1) {
        Tensor weight = Uploads.f32(backend, entry.down(), Shape.of(rank, layer.weight().dim(1)));
        down = owner.adopt(backend.packLinear(weight, null, dtype));
        downConv = null;
      } else {
        Conv2dGeometry geometry =
            new Conv2dGeometry(
                conv.inChannels(),
                entry.rank(),
                conv.kernelHeight(),
                conv.kernelWidth(),
                conv.stride(),
                conv.padTop(),
                conv.padLeft(),
                conv.padBottom(),
                conv.padRight());
        Tensor weight = Uploads.f32(backend, entry.down(), geometry.weightShape());
        down = null;
        downConv = owner.adopt(backend.packConv2d(weight, null, geometry, dtype));
      }
      Tensor weight = Uploads.f32(backend, entry.up(), Shape.of(layer.weight().dim(0), rank));
      float factor = scale * entry.scale();
      up =
          owner.adopt(backend.packLinear(factor == 1 ? weight : weight.scale(factor), null, dtype));
    }
  }

  @Override
  public Tensor addTo(Tensor base, Tensor x) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor h = down == null ? x.conv2d(downConv) : x.linear(down); // [..., r]
      return scope.keep(h.linear(up, Epilogue.residual(base))); // [..., out]
    }
  }
}
