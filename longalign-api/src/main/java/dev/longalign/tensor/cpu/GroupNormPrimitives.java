package dev.longalign.tensor.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import java.util.List;

/**
 * The passes over one image [pixels, C] that group normalisation and its derivative are made of.
 * They are those of batch normalisation, which are fast on NHWC: oneDNN's own group normalisation
 * takes ten times as long.
 */
record GroupNormPrimitives(long pixels, long channels, DType dtype) {

  private Layout data() {
    return Layout.nhwc(dtype, 1, channels, pixels, 1);
  }

  private Layout perChannel() {
    return Layout.nhwc(DType.F32, 1, channels, 1, 1);
  }

  /**
   * Mean and variance of every channel. Addresses: x, means, variances, a normalised copy that
   * comes with them.
   */
  Primitive statistics(PrimitiveCache cache) {
    return cache.get(
        List.of("channelStatistics", this),
        () -> {
          try (Layout data = data();
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

  /**
   * {@code activation((x - mean) * factor + shift)}, each per channel. Addresses: x, mean, y,
   * factor, shift.
   */
  Primitive normalise(PrimitiveCache cache, Activation activation) {
    return cache.get(
        List.of("normalise", this, activation),
        () -> {
          try (Layout perChannel = perChannel();
              Attributes attributes =
                  new Attributes().multiply(perChannel).add(perChannel).activation(activation)) {
            return centred(perChannel, attributes);
          }
        });
  }

  /**
   * {@code (x - mean) * factor + shift + more}, the first three per channel. Addresses: x, mean, y,
   * factor, shift, more.
   */
  Primitive combine(PrimitiveCache cache) {
    return cache.get(
        List.of("centred sum", this),
        () -> {
          try (Layout perChannel = perChannel();
              Layout data = data();
              Attributes attributes =
                  new Attributes().multiply(perChannel).add(perChannel).add(data)) {
            return centred(perChannel, attributes);
          }
        });
  }

  private Primitive centred(Layout perChannel, Attributes attributes) {
    try (Layout data = data()) {
      return CpuTraining.binary(dnnl_binary_sub, data, perChannel, data, attributes);
    }
  }

  /**
   * With n = (x - mean) / sqrt(variance + eps) and statistics that are given: {@code gamma dy /
   * sqrt(variance + eps)}, and the sums of {@code n dy} and of dy. Addresses: x, mean, variance,
   * dy, gamma, and those three.
   */
  Primitive gradient(PrimitiveCache cache, float eps) {
    return cache.get(
        List.of("normalisation gradient", this, eps),
        () -> {
          try (Layout data = data();
              Layout perChannel = Layout.dense(DType.F32, channels);
              Attributes attributes = new Attributes()) {
            return Primitive.create(
                "gradient of normalisation",
                (pd, attr) ->
                    dnnl_batch_normalization_backward_primitive_desc_create(
                        pd,
                        OneDnn.ENGINE,
                        dnnl_backward,
                        data.descriptor(),
                        data.descriptor(),
                        data.descriptor(),
                        eps,
                        dnnl_use_global_stats | dnnl_use_scale | dnnl_use_shift,
                        null,
                        attr.build()),
                attributes,
                new int[] {
                  DNNL_ARG_SRC_0,
                  DNNL_ARG_MEAN,
                  DNNL_ARG_VARIANCE,
                  DNNL_ARG_DIFF_DST_0,
                  DNNL_ARG_SCALE,
                  DNNL_ARG_DIFF_SRC_0,
                  DNNL_ARG_DIFF_SCALE,
                  DNNL_ARG_DIFF_SHIFT
                },
                data,
                perChannel,
                perChannel,
                data,
                perChannel,
                data,
                perChannel,
                perChannel);
          }
        });
  }

  /**
   * Replaces the means and variances of channels by those of their groups.
   *
   * @param inverse gets {@code 1 / sqrt(variance + eps)}
   */
  static void group(float[] mean, float[] variance, float[] inverse, int groups, float eps) {
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
      groupVariance /= size;
      for (int c = first; c < first + size; c++) {
        mean[c] = (float) groupMean;
        variance[c] = (float) groupVariance;
        inverse[c] = (float) (1 / Math.sqrt(groupVariance + eps));
      }
    }
  }
}
