package dev.longalign.tensor.cuda;

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

/** The derivatives of the CUDA backend's operations. */
final class CudaGradients implements GradientOps {
  private final CudaBackend backend;
  private final ProductGradient products;
  private final AttentionGradient attention;
  private final NormGradient norms;
  private final PointwiseGradient pointwise;
  private final RowOps rows;

  CudaGradients(
      CudaBackend backend,
      ProductGradient products,
      AttentionGradient attention,
      NormGradient norms,
      PointwiseGradient pointwise,
      RowOps rows) {
    this.backend = backend;
    this.products = products;
    this.attention = attention;
    this.norms = norms;
    this.pointwise = pointwise;
    this.rows = rows;
  }

  private Tensor[] runAll(String name, Supplier<Tensor[]> operation) {
    return backend.enqueue(
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
    return backend.scoped("linearInputGradient", () -> products.linearInput(dy, weight));
  }

  @Override
  public Tensor geglu(Tensor x, LinearWeight packedGeglu, Tensor dy) {
    return backend.scoped("gegluGradient", () -> products.geglu(x, packedGeglu, dy));
  }

  @Override
  public Tensor conv2dInput(Tensor dy, Conv2dWeight weight, Shape x) {
    return backend.scoped("conv2dInputGradient", () -> products.conv2dInput(dy, weight, x));
  }

  @Override
  public Tensor conv2dInput(Tensor dy, Tensor weight, Conv2dGeometry geometry, Shape x) {
    return backend.scoped(
        "conv2dInputGradient", () -> products.conv2dInput(dy, weight, geometry, x));
  }

  @Override
  public Tensor conv2dWeight(Tensor x, Tensor dy, Conv2dGeometry geometry) {
    return backend.scoped("conv2dWeightGradient", () -> products.conv2dWeight(x, dy, geometry));
  }

  @Override
  public Tensor matmulTransposedA(Tensor a, Tensor b, DType dtype) {
    return backend.scoped("matmulTransposedA", () -> products.matmulTransposedA(a, b, dtype));
  }

  @Override
  public Tensor[] attention(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Tensor dy, boolean[] wanted) {
    return runAll(
        "attentionGradient", () -> attention.attention(q, k, v, heads, scale, dy, wanted));
  }

  @Override
  public Tensor[] causalAttention(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Tensor dy, boolean[] wanted) {
    return runAll(
        "causalAttentionGradient",
        () -> attention.causalAttention(q, k, v, heads, scale, dy, wanted));
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
    return runAll(
        "groupNormGradient",
        () -> norms.groupNorm(x, groups, gamma, beta, eps, activation, dy, wanted));
  }

  @Override
  public Tensor[] layerNorm(Tensor x, Tensor gamma, float eps, Tensor dy, boolean[] wanted) {
    return runAll("layerNormGradient", () -> norms.layerNorm(x, gamma, eps, dy, wanted));
  }

  @Override
  public Tensor normalizeRows(Tensor x, Tensor dy) {
    return backend.scoped("normalizeRowsGradient", () -> rows.normalizeRows(x, dy));
  }

  @Override
  public Tensor activation(Tensor x, Activation activation, Tensor dy) {
    return backend.scoped("activationGradient", () -> pointwise.activation(x, activation, dy));
  }

  @Override
  public Tensor gatedGelu(Tensor x, Tensor dy) {
    return backend.scoped("gatedGeluGradient", () -> pointwise.gatedGelu(x, dy));
  }

  @Override
  public Tensor clamp(Tensor x, float low, float high, Tensor dy) {
    return backend.scoped("clampGradient", () -> pointwise.clamp(x, low, high, dy));
  }

  @Override
  public Tensor pseudoHuber(Tensor x, float c, Tensor dy) {
    return backend.scoped("pseudoHuberGradient", () -> pointwise.pseudoHuber(x, c, dy));
  }

  @Override
  public Tensor columnSums(Tensor x, int groups) {
    return backend.scoped("columnSums", () -> rows.columnSums(x, groups));
  }

  @Override
  public Tensor scaleRows(Tensor x, Tensor factors) {
    return backend.scoped("scaleRows", () -> rows.scaleRows(x, factors));
  }

  @Override
  public Tensor scatterRows(Tensor dy, int[] numbers, long count) {
    return backend.scoped("scatterRows", () -> rows.scatterRows(dy, numbers, count));
  }

  @Override
  public Tensor logSumExp(Tensor x, Tensor dy) {
    return backend.scoped("logSumExpGradient", () -> rows.logSumExp(x, dy));
  }

  @Override
  public Tensor expand(Tensor scalar, DType dtype, Shape shape) {
    return backend.scoped("expand", () -> pointwise.expand(scalar, dtype, shape));
  }

  @Override
  public Tensor upsampleNearest(Tensor dy, int height, int width) {
    return backend.scoped(
        "upsampleNearestGradient", () -> pointwise.upsampleNearest(dy, height, width));
  }
}
