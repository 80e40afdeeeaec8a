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

  /**
   * Statistics of channels, from them those of groups, and one pass that applies them. oneDNN's own
   * group normalisation takes ten times as long on NHWC.
   */
  Tensor groupNorm(
      Tensor x, int groups, Tensor gamma, Tensor beta, float eps, Activation activation) {
    Tensor y = context.allocateLike(x);
    if (x.shape().size() == 0) {
      return y;
    }
    int images = x.dim(0);
    int channels = x.dim(-1);
    long pixels = x.shape().size() / images / channels;
    CpuMemory memory = context.memory();
    long row = (long) channels * DType.F32.bytes();
    long numbers = memory.allocate(3 * row);
    try {
      Primitive statistics = channelStatistics(pixels, channels, x.dtype());
      Primitive normalise = normalise(pixels, channels, activation, x.dtype());
      float[] scale = new float[channels];
      HostMemory.read(address(gamma), scale);
      float[] mean = new float[channels];
      float[] variance = new float[channels];
      float[] factor = new float[channels];
      for (int image = 0; image < images; image++) {
        Tensor from = x.rows(image, image + 1);
        Tensor to = y.rows(image, image + 1);
        // The statistics come with a normalised copy that nobody needs: it goes where y will be.
        statistics.execute(memory, address(from), numbers, numbers + row, address(to));
        HostMemory.read(numbers, mean);
        HostMemory.read(numbers + row, variance);
        groupStatistics(mean, variance, scale, factor, groups, eps);
        HostMemory.write(numbers, mean);
        HostMemory.write(numbers + row, factor);
        normalise.execute(
            memory, address(from), numbers, address(to), numbers + row, address(beta));
      }
    } finally {
      memory.free(numbers);
    }
    return y;
  }

  /**
   * Replaces the channels' means by their groups' and computes {@code scale / sqrt(variance + eps)}
   * of the groups.
   */
  private static void groupStatistics(
      float[] mean, float[] variance, float[] scale, float[] factor, int groups, float eps) {
    int size = mean.length / groups;
    for (int first = 0; first < mean.length; first += size) {
      double groupMean = 0;
      for (int c = first; c < first + size; c++) {
        groupMean += mean[c];
      }
      groupMean /= size;
      double groupVariance = 0;
      for (int c = first; c < first + size; c++) {
        double apart = mean[c] - groupMean;
        groupVariance += variance[c] + apart * apart;
      }
      double inverse = 1 / Math.sqrt(groupVariance / size + eps);
      for (int c = first; c < first + size; c++) {
        mean[c] = (float) groupMean;
        factor[c] = (float) (scale[c] * inverse);
      }
    }
  }

  /** Mean and variance of every channel of one image. */
  private Primitive channelStatistics(long pixels, long channels, DType dtype) {
    return context
        .cache()
        .get(
            List.of("channelStatistics", pixels, channels, dtype),
            () -> {
              try (Layout data = Layout.nhwc(dtype, 1, channels, pixels, 1);
                  Layout perChannel = Layout.dense(DType.F32, channels);
                  Attributes attributes = new Attributes()) {
                return Primitive.create(
                    "channel statistics",
                    (pd, attr) ->
                        dnnl_batch_normalization_forward_primitive_desc_create(
                            pd,
                            OneDnn.ENGINE,
                            dnnl_forward_training,
                            data.descriptor(),
                            data.descriptor(),
                            0,
                            0,
                            attr.build()),
                    attributes,
                    new int[] {DNNL_ARG_SRC_0, DNNL_ARG_MEAN, DNNL_ARG_VARIANCE, DNNL_ARG_DST},
                    data,
                    perChannel,
                    perChannel,
                    data);
              }
            });
  }

  /** {@code activation((x - mean) * factor + shift)} of one image, each per channel. */
  private Primitive normalise(long pixels, long channels, Activation activation, DType dtype) {
    return context
        .cache()
        .get(
            List.of("normalise", pixels, channels, activation, dtype),
            () -> {
              try (Layout data = Layout.nhwc(dtype, 1, channels, pixels, 1);
                  Layout perChannel = Layout.nhwc(DType.F32, 1, channels, 1, 1);
                  Attributes attributes =
                      new Attributes()
                          .multiply(perChannel)
                          .add(perChannel)
                          .activation(activation)) {
                return Primitive.create(
                    "group normalisation",
                    (pd, attr) ->
                        dnnl_binary_primitive_desc_create(
                            pd,
                            OneDnn.ENGINE,
                            dnnl_binary_sub,
                            data.descriptor(),
                            perChannel.descriptor(),
                            data.descriptor(),
                            attr.build()),
                    attributes,
                    new int[] {DNNL_ARG_SRC_0, DNNL_ARG_SRC_1, DNNL_ARG_DST},
                    data,
                    perChannel,
                    data);
              }
            });
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
