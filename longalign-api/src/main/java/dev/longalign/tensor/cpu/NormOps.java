package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import java.util.List;

/** Normalisations. */
final class NormOps {
  private static final int SCALE_AND_SHIFT = dnnl_use_scale | dnnl_use_shift;
  private static final int[] NAMES = {DNNL_ARG_SRC_0, DNNL_ARG_SCALE, DNNL_ARG_SHIFT, DNNL_ARG_DST};

  private final CpuContext context;

  NormOps(CpuContext context) {
    this.context = context;
  }

  Tensor groupNorm(
      Tensor x, int groups, Tensor gamma, Tensor beta, float eps, Activation activation) {
    Tensor y = context.allocateLike(x);
    if (x.shape().size() == 0) {
      return y;
    }
    long batch = x.shape().dim(0);
    long channels = x.shape().dim(-1);
    long pixels = x.shape().size() / batch / channels;
    DType dtype = x.dtype();
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("groupNorm", batch, pixels, channels, groups, eps, activation, dtype),
                () -> {
                  try (Layout data = Layout.nhwc(dtype, batch, channels, pixels, 1);
                      Layout affine = Layout.dense(DType.F32, channels);
                      Attributes attributes = new Attributes().activation(activation)) {
                    return Primitive.create(
                        "group normalisation",
                        (pd, attr) ->
                            dnnl_group_normalization_forward_primitive_desc_create(
                                pd,
                                OneDnn.ENGINE,
                                dnnl_forward_inference,
                                data.descriptor(),
                                data.descriptor(),
                                groups,
                                eps,
                                SCALE_AND_SHIFT,
                                attr.build()),
                        attributes,
                        NAMES,
                        data,
                        affine,
                        affine,
                        data);
                  }
                });
    primitive.execute(context.memory(), address(x), address(gamma), address(beta), address(y));
    return y;
  }

  Tensor layerNorm(Tensor x, Tensor gamma, Tensor beta, float eps) {
    Tensor y = context.allocateLike(x);
    if (x.shape().size() == 0) {
      return y;
    }
    long width = x.shape().dim(-1);
    long rows = x.shape().size() / width;
    DType dtype = x.dtype();
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("layerNorm", rows, width, eps, dtype),
                () -> {
                  try (Layout data = Layout.dense(dtype, rows, width);
                      Layout statistics = Layout.dense(DType.F32, rows);
                      Layout affine = Layout.dense(DType.F32, width);
                      Attributes attributes = new Attributes()) {
                    return Primitive.create(
                        "layer normalisation",
                        (pd, attr) ->
                            dnnl_layer_normalization_forward_primitive_desc_create(
                                pd,
                                OneDnn.ENGINE,
                                dnnl_forward_inference,
                                data.descriptor(),
                                data.descriptor(),
                                statistics.descriptor(),
                                eps,
                                SCALE_AND_SHIFT,
                                attr.build()),
                        attributes,
                        NAMES,
                        data,
                        affine,
                        affine,
                        data);
                  }
                });
    primitive.execute(context.memory(), address(x), address(gamma), address(beta), address(y));
    return y;
  }
}
