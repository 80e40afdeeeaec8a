package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.List;

/**
 * Derivatives of normalisations. oneDNN has only its slow reference code for group normalisation,
 * so that derivative is put together from vectorised passes over one picture at a time, in f32:
 *
 * <pre>
 *   n = (x - mean) / deviation,  z = gamma n + beta,  y = activation(z)
 *   dx = (gamma dz - mean(gamma dz) - n mean(gamma dz n)) / deviation,  means over the group
 *   dgamma = sum(dz n),  dbeta = sum(dz)
 * </pre>
 */
final class NormGradient {
  private final CpuContext context;
  private final MatrixGradient matrix;
  private final PointwiseGradient pointwise;

  NormGradient(CpuContext context, MatrixGradient matrix, PointwiseGradient pointwise) {
    this.context = context;
    this.matrix = matrix;
    this.pointwise = pointwise;
  }

  Tensor[] groupNorm(
      Tensor x,
      int groups,
      Tensor gamma,
      Tensor beta,
      float eps,
      Activation activation,
      Tensor dy,
      boolean[] wanted) {
    int channels = x.dim(-1);
    float[] dGamma = new float[channels];
    float[] dBeta = new float[channels];
    Tensor dx = wanted[0] ? context.allocateLike(x) : null;
    for (int b = 0; b < x.dim(0) && x.shape().size() > 0; b++) {
      try (TensorScope scope = TensorScope.open()) {
        long pixels = x.shape().size() / x.dim(0) / channels;
        Tensor deviations = context.allocate(DType.F32, Shape.of(groups));
        Tensor n = normalised(x.rows(b, b + 1).reshape(pixels, channels), groups, eps, deviations);
        Tensor dz = dy.rows(b, b + 1).reshape(pixels, channels).cast(DType.F32);
        if (activation != Activation.NONE) {
          Tensor z = context.allocateLike(n);
          affine(n, gamma, beta, z);
          dz = pointwise.activation(z, activation, dz);
        }
        float[] sums = matrix.columnSums(dz, 1).toFloats();
        float[] along = matrix.columnSums(CpuTraining.product(context, dz, n), 1).toFloats();
        for (int c = 0; c < channels; c++) {
          dGamma[c] += along[c];
          dBeta[c] += sums[c];
        }
        if (dx != null) {
          Coefficients k =
              coefficients(gamma.toFloats(), sums, along, deviations.toFloats(), pixels, eps);
          affine(n, vector(k.ofN), vector(k.constant), n);
          scaledSum(dz, vector(k.ofDz), n);
          context.convert(n, x.dtype(), address(dx.rows(b, b + 1)));
        }
      }
    }
    return new Tensor[] {
      dx, wanted[1] ? vector(dGamma) : null, wanted[2] ? vector(dBeta) : null,
    };
  }

  private Tensor vector(float[] values) {
    return Tensor.of(context.backend(), Shape.of(values.length), values);
  }

  /** {@code dx = ofDz dz + ofN n + constant}, per channel. */
  private record Coefficients(float[] ofDz, float[] ofN, float[] constant) {}

  private static Coefficients coefficients(
      float[] gamma, float[] sums, float[] along, float[] variances, long pixels, float eps) {
    int channels = gamma.length;
    int perGroup = channels / variances.length;
    double count = (double) pixels * perGroup;
    Coefficients k =
        new Coefficients(new float[channels], new float[channels], new float[channels]);
    for (int g = 0; g < variances.length; g++) {
      double meanDz = 0;
      double meanAlong = 0;
      for (int c = g * perGroup; c < (g + 1) * perGroup; c++) {
        meanDz += (double) gamma[c] * sums[c] / count;
        meanAlong += (double) gamma[c] * along[c] / count;
      }
      double inverse = 1 / Math.sqrt((double) variances[g] + eps);
      for (int c = g * perGroup; c < (g + 1) * perGroup; c++) {
        k.ofDz[c] = (float) (gamma[c] * inverse);
        k.ofN[c] = (float) (-meanAlong * inverse);
        k.constant[c] = (float) (-meanDz * inverse);
      }
    }
    return k;
  }

  /** {@code (x - mean) / deviation} of one picture [pixels, C] in f32, and the variances. */
  private Tensor normalised(Tensor x, int groups, float eps, Tensor variances) {
    long pixels = x.shape().dim(0);
    long channels = x.shape().dim(1);
    Tensor wide = x.cast(DType.F32);
    Tensor y = context.allocate(DType.F32, x.shape());
    Tensor means = context.allocate(DType.F32, Shape.of(groups));
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("normalised", pixels, channels, groups, eps),
                () -> {
                  try (Layout data = Layout.nhwc(DType.F32, 1, channels, pixels, 1);
                      Layout statistics = Layout.dense(DType.F32, 1, groups);
                      Attributes attributes = new Attributes()) {
                    return Primitive.create(
                        "group normalisation",
                        (pd, attr) ->
                            dnnl_group_normalization_forward_primitive_desc_create(
                                pd,
                                OneDnn.ENGINE,
                                dnnl_forward_training,
                                data.descriptor(),
                                data.descriptor(),
                                groups,
                                eps,
                                dnnl_normalization_flags_none,
                                attr.build()),
                        attributes,
                        new int[] {DNNL_ARG_SRC_0, DNNL_ARG_DST, DNNL_ARG_MEAN, DNNL_ARG_VARIANCE},
                        data,
                        data,
                        statistics,
                        statistics);
                  }
                });
    primitive.execute(
        context.memory(), address(wide), address(y), address(means), address(variances));
    return y;
  }

  /** {@code y = factor x + shift} with one number per channel; y may be x. All f32. */
  private void affine(Tensor x, Tensor factor, Tensor shift, Tensor y) {
    long pixels = x.shape().dim(0);
    long channels = x.shape().dim(1);
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("affine", pixels, channels),
                () -> {
                  try (Layout data = Layout.nhwc(DType.F32, 1, channels, pixels, 1);
                      Layout perChannel = Layout.nhwc(DType.F32, 1, channels, 1, 1);
                      Attributes attributes = new Attributes().add(perChannel)) {
                    return CpuTraining.binary(dnnl_binary_mul, data, perChannel, data, attributes);
                  }
                });
    primitive.execute(context.memory(), address(x), address(factor), address(y), address(shift));
  }

  /** {@code sum += factor x} with one factor per channel; all f32. oneDNN mixes types slowly. */
  private void scaledSum(Tensor x, Tensor factor, Tensor sum) {
    long pixels = x.shape().dim(0);
    long channels = x.shape().dim(1);
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("scaledSum", pixels, channels),
                () -> {
                  try (Layout data = Layout.nhwc(DType.F32, 1, channels, pixels, 1);
                      Layout perChannel = Layout.nhwc(DType.F32, 1, channels, 1, 1);
                      Attributes attributes = new Attributes().add(data)) {
                    return CpuTraining.binary(dnnl_binary_mul, data, perChannel, data, attributes);
                  }
                });
    primitive.execute(context.memory(), address(x), address(factor), address(sum), address(sum));
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
