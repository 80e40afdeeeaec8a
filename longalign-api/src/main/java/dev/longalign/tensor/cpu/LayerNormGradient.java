package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.List;

/** The derivative of layer normalisation. */
final class LayerNormGradient {
  private final CpuContext context;

  LayerNormGradient(CpuContext context) {
    this.context = context;
  }

  Tensor[] layerNorm(Tensor x, Tensor gamma, float eps, Tensor dy, boolean[] wanted) {
    long width = x.shape().dim(-1);
    Tensor dGamma = context.backend().zeros(DType.F32, Shape.of(width));
    Tensor dBeta = context.backend().zeros(DType.F32, Shape.of(width));
    Tensor dx = context.allocateLike(x);
    if (x.shape().size() > 0) {
      layerNorm(x, gamma, eps, dy, dx, dGamma, dBeta);
    }
    return new Tensor[] {
      wanted[0] ? dx : null, wanted[1] ? dGamma : null, wanted[2] ? dBeta : null
    };
  }

  private void layerNorm(
      Tensor x, Tensor gamma, float eps, Tensor dy, Tensor dx, Tensor dGamma, Tensor dBeta) {
    long width = x.shape().dim(-1);
    long rows = x.shape().size() / width;
    DType dtype = x.dtype();
    Shape perRow = Shape.of(rows);
    Tensor mean = context.allocate(DType.F32, perRow);
    Tensor variance = context.allocate(DType.F32, perRow);
    List<Object> key = List.of(rows, width, eps, dtype);
    context
        .cache()
        .get(List.of("layerNorm statistics", key), () -> statistics(rows, width, eps, dtype))
        .execute(
            context.memory(),
            address(x),
            address(context.allocateLike(x)),
            address(mean),
            address(variance));
    context
        .cache()
        .get(List.of("layerNorm gradient", key), () -> layerGradient(rows, width, eps, dtype))
        .execute(
            context.memory(),
            address(x),
            address(dy),
            address(mean),
            address(variance),
            address(gamma),
            address(dx),
            address(dGamma),
            address(dBeta));
  }

  private static Primitive statistics(long rows, long width, float eps, DType dtype) {
    try (Layout data = Layout.dense(dtype, rows, width);
        Layout perRow = Layout.dense(DType.F32, rows);
        Attributes attributes = new Attributes()) {
      return Primitive.create(
          "layer normalisation",
          (pd, attr) ->
              dnnl_layer_normalization_forward_primitive_desc_create(
                  pd,
                  OneDnn.ENGINE,
                  dnnl_forward_training,
                  data.descriptor(),
                  data.descriptor(),
                  perRow.descriptor(),
                  eps,
                  dnnl_normalization_flags_none,
                  attr.build()),
          attributes,
          new int[] {DNNL_ARG_SRC_0, DNNL_ARG_DST, DNNL_ARG_MEAN, DNNL_ARG_VARIANCE},
          data,
          data,
          perRow,
          perRow);
    }
  }

  private static Primitive layerGradient(long rows, long width, float eps, DType dtype) {
    try (Layout data = Layout.dense(dtype, rows, width);
        Layout perRow = Layout.dense(DType.F32, rows);
        Layout affine = Layout.dense(DType.F32, width);
        Attributes attributes = new Attributes()) {
      return Primitive.create(
          "gradient of layer normalisation",
          (pd, attr) ->
              dnnl_layer_normalization_backward_primitive_desc_create(
                  pd,
                  OneDnn.ENGINE,
                  dnnl_backward,
                  data.descriptor(),
                  data.descriptor(),
                  data.descriptor(),
                  perRow.descriptor(),
                  eps,
                  dnnl_use_scale | dnnl_use_shift,
                  null,
                  attr.build()),
          attributes,
          new int[] {
            DNNL_ARG_SRC_0,
            DNNL_ARG_DIFF_DST_0,
            DNNL_ARG_MEAN,
            DNNL_ARG_VARIANCE,
            DNNL_ARG_SCALE,
            DNNL_ARG_DIFF_SRC_0,
            DNNL_ARG_DIFF_SCALE,
            DNNL_ARG_DIFF_SHIFT
          },
          data,
          data,
          perRow,
          perRow,
          affine,
          data,
          affine,
          affine);
    }
  }
}
