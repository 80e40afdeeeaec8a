package dev.longalign.tensor.cpu;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.GradientOps;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.function.Supplier;

/**
 * The derivatives of the CPU backend: one at a time, each with a scope for what it needs itself.
 */
final class CpuGradients implements GradientOps {
  private final CpuBackend backend;
  private final MatrixGradient matrix;
  private final ConvolutionGradient convolution;
  private final AttentionGradient attention;
  private final GroupNormGradient groupNorm;
  private final LayerNormGradient layerNorm;
  private final PointwiseGradient pointwise;
  private final RowOps rows;

  CpuGradients(
      CpuBackend backend,
      CpuContext context,
      MatrixOps matrix,
      ConvolutionOps convolution,
      PointwiseOps pointwise,
      CpuWorkers workers) {
    this.backend = backend;
    this.pointwise = new PointwiseGradient(context, pointwise);
    this.matrix = new MatrixGradient(context, matrix, this.pointwise);
    this.convolution = new ConvolutionGradient(context, convolution);
    this.attention = new AttentionGradient(context, workers);
    this.rows = new RowOps(context);
    this.groupNorm = new GroupNormGradient(context, workers);
    this.layerNorm = new LayerNormGradient(context);
  }

  private Tensor one(String name, Supplier<Tensor> operation) {
    return backend.exclusively(
        name,
        () -> {
          try (TensorScope scope = TensorScope.open()) {
            return scope.keep(operation.get());
          }
        });
  }

  private Tensor[] several(String name, Supplier<Tensor[]> operation) {
    return backend.exclusively(
        name,
        () -> {
          try (TensorScope scope = TensorScope.open()) {
            Tensor[] results = operation.get();
            for (Tensor result : results) {
              if (result != null) {
                scope.keep(result);
              }
            }
            return results;
          }
        });
  }

  @Override
  public Tensor linearInput(Tensor dy, LinearWeight weight) {
    return one("linear gradient", () -> matrix.linearInput(dy, weight));
  }

  @Override
  public Tensor geglu(Tensor x, LinearWeight packedGeglu, Tensor dy) {
    return one("geglu gradient", () -> matrix.geglu(x, packedGeglu, dy));
  }

  @Override
  public Tensor conv2dInput(Tensor dy, Conv2dWeight weight, Shape x) {
    return one("conv2d gradient", () -> convolution.input(dy, weight, x));
  }

  @Override
  public Tensor conv2dInput(Tensor dy, Tensor weight, Conv2dGeometry geometry, Shape x) {
    return one("conv2d gradient", () -> convolution.input(dy, weight, geometry, x));
  }

  @Override
  public Tensor conv2dWeight(Tensor x, Tensor dy, Conv2dGeometry geometry) {
    return one("conv2d weight gradient", () -> convolution.weight(x, dy, geometry));
  }

  @Override
  public Tensor matmulTransposedA(Tensor a, Tensor b, DType dtype) {
    return one("matmul gradient", () -> matrix.transposedA(a, b, dtype));
  }

  @Override
  public Tensor[] attention(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Tensor dy, boolean[] wanted) {
    return several(
        "attention gradient", () -> attention.attention(q, k, v, heads, scale, dy, wanted, false));
  }

  @Override
  public Tensor[] causalAttention(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Tensor dy, boolean[] wanted) {
    return several(
        "causalAttention gradient",
        () -> attention.attention(q, k, v, heads, scale, dy, wanted, true));
  }

  @Override
  public Tensor[] groupNorm(
      Tensor x,
      int groups,
      Tensor gamma,
      Tensor beta,
      float eps,
      Activation activation,
      Tensor dy,
      boolean[] wanted) {
    return several(
        "groupNorm gradient",
        () -> groupNorm.groupNorm(x, groups, gamma, beta, eps, activation, dy, wanted));
  }

  @Override
  public Tensor[] layerNorm(Tensor x, Tensor gamma, float eps, Tensor dy, boolean[] wanted) {
    return several("layerNorm gradient", () -> layerNorm.layerNorm(x, gamma, eps, dy, wanted));
  }

  @Override
  public Tensor normalizeRows(Tensor x, Tensor dy) {
    return one("normalizeRows gradient", () -> pointwise.normalizeRows(x, dy));
  }

  @Override
  public Tensor activation(Tensor x, Activation activation, Tensor dy) {
    return one("activation gradient", () -> pointwise.activation(x, activation, dy));
  }

  @Override
  public Tensor gatedGelu(Tensor x, Tensor dy) {
    return one("gatedGelu gradient", () -> pointwise.gatedGelu(x, dy));
  }

  @Override
  public Tensor clamp(Tensor x, float low, float high, Tensor dy) {
    return one("clamp gradient", () -> pointwise.clamp(x, low, high, dy));
  }

  @Override
  public Tensor pseudoHuber(Tensor x, float c, Tensor dy) {
    return one("pseudoHuber gradient", () -> pointwise.pseudoHuber(x, c, dy));
  }

  @Override
  public Tensor columnSums(Tensor x, int groups) {
    return one("columnSums", () -> matrix.columnSums(x, groups));
  }

  @Override
  public Tensor scaleRows(Tensor x, Tensor factors) {
    return one("scaleRows", () -> pointwise.scaleRows(x, factors));
  }

  @Override
  public Tensor scatterRows(Tensor dy, int[] numbers, long count) {
    return one("scatterRows", () -> rows.scatter(dy, numbers, count));
  }

  @Override
  public Tensor logSumExp(Tensor x, Tensor dy) {
    return one("logSumExp gradient", () -> rows.logSumExp(x, dy));
  }

  @Override
  public Tensor expand(Tensor scalar, DType dtype, Shape shape) {
    return one("expand", () -> pointwise.expand(scalar, dtype, shape));
  }

  @Override
  public Tensor upsampleNearest(Tensor dy, int height, int width) {
    return one("upsampleNearest gradient", () -> pointwise.upsampleNearest(dy, height, width));
  }
}
