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
  private final CpuWorkers workers;

  NormOps(CpuContext context, CpuWorkers workers) {
    this.context = context;
    this.workers = workers;
  }

  /** Statistics of channels, from them those of groups, and one pass that applies them. */
  Tensor groupNorm(
      Tensor x, int groups, Tensor gamma, Tensor beta, float eps, Activation activation) {
    Tensor y = context.allocateLike(x);
    if (x.shape().size() == 0) {
      return y;
    }
    int images = x.dim(0);
    int channels = x.dim(-1);
    long pixels = x.shape().size() / images / channels;
    GroupNormPrimitives primitives = new GroupNormPrimitives(pixels, channels, x.dtype());
    long bytes = pixels * channels * x.dtype().bytes();
    long row = (long) channels * DType.F32.bytes();
    float[] scale = gamma.toFloats();
    CpuMemory memory = context.memory();
    long numbers = memory.allocate(workers.count() * 2 * row);
    try {
      workers.each(
          images,
          context.cache(),
          (cache, number, i) -> {
            long means = numbers + number * 2 * row;
            long others = means + row;
            long from = address(x) + i * bytes;
            long to = address(y) + i * bytes;
            // The statistics come with a normalised copy that nobody needs: it goes where y will
            // be.
            primitives.statistics(cache).execute(memory, from, means, others, to);
            float[] mean = new float[channels];
            float[] variance = new float[channels];
            float[] factor = new float[channels];
            HostMemory.read(means, mean);
            HostMemory.read(others, variance);
            GroupNormPrimitives.group(mean, variance, factor, groups, eps);
            for (int c = 0; c < channels; c++) {
              factor[c] *= scale[c];
            }
            HostMemory.write(means, mean);
            HostMemory.write(others, factor);
            primitives
                .normalise(cache, activation)
                .execute(memory, from, means, to, others, address(beta));
          });
    } finally {
      memory.free(numbers);
    }
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
