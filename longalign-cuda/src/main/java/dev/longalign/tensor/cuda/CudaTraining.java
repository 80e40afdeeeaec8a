package dev.longalign.tensor.cuda;

import dev.longalign.tensor.AdamW;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TrainingOps;
import java.util.Collection;
import java.util.List;

/** What the CUDA backend computes for training only. */
final class CudaTraining implements TrainingOps {
  private final CudaBackend backend;
  private final ProductOps products;
  private final AttentionOps attention;
  private final TrainingPointwiseOps pointwise;
  private final RowOps rows;
  private final ShapeOps shapes;
  private final OptimizerOps optimizer;

  CudaTraining(
      CudaBackend backend,
      ProductOps products,
      AttentionOps attention,
      TrainingPointwiseOps pointwise,
      RowOps rows,
      ShapeOps shapes,
      OptimizerOps optimizer) {
    this.backend = backend;
    this.products = products;
    this.attention = attention;
    this.pointwise = pointwise;
    this.rows = rows;
    this.shapes = shapes;
    this.optimizer = optimizer;
  }

  @Override
  public Tensor linear(Tensor x, Tensor weight, Tensor bias) {
    return backend.scoped("linear", () -> products.linear(x, weight, bias));
  }

  @Override
  public Tensor conv2d(Tensor x, Tensor weight, Conv2dGeometry geometry) {
    return backend.scoped("conv2d", () -> products.conv2d(x, weight, geometry));
  }

  @Override
  public Tensor causalAttention(Tensor q, Tensor k, Tensor v, int heads, float scale) {
    return backend.scoped(
        "causalAttention", () -> attention.causalAttention(q, k, v, heads, scale));
  }

  @Override
  public Tensor multiply(Tensor a, Tensor b) {
    return backend.scoped("multiply", () -> pointwise.multiply(a, b));
  }

  @Override
  public Tensor dropout(Tensor x, float p, long key) {
    return backend.scoped("dropout", () -> pointwise.dropout(x, p, key));
  }

  @Override
  public Tensor pseudoHuber(Tensor x, float c) {
    return backend.scoped("pseudoHuber", () -> pointwise.pseudoHuber(x, c));
  }

  @Override
  public Tensor normalizeRows(Tensor x) {
    return backend.scoped("normalizeRows", () -> rows.normalizeRows(x));
  }

  @Override
  public Tensor scaleExp(Tensor x, Tensor logScale) {
    return backend.scoped("scaleExp", () -> pointwise.scaleExp(x, logScale));
  }

  @Override
  public Tensor slice(Tensor x, int axis, long from, long to) {
    return backend.scoped("slice", () -> shapes.slice(x, axis, from, to));
  }

  @Override
  public Tensor gatherRows(Tensor x, int[] numbers) {
    return backend.scoped("gatherRows", () -> rows.gatherRows(x, numbers));
  }

  @Override
  public Tensor sum(Tensor x) {
    return backend.scoped("sum", () -> rows.sum(x));
  }

  @Override
  public Tensor logSumExp(Tensor x) {
    return backend.scoped("logSumExp", () -> rows.logSumExp(x));
  }

  @Override
  public Tensor rowDots(Tensor a, Tensor b) {
    return backend.scoped("rowDots", () -> rows.rowDots(a, b));
  }

  @Override
  public void accumulate(Tensor into, float factor, Tensor x) {
    backend.enqueue(
        "accumulate",
        () -> {
          optimizer.accumulate(into, factor, x);
          return null;
        });
  }

  @Override
  public void swap(Tensor a, Tensor b) {
    backend.enqueue(
        "swap",
        () -> {
          optimizer.swap(a, b);
          return null;
        });
  }

  @Override
  public void average(Tensor average, double decay, Tensor x) {
    backend.enqueue(
        "average",
        () -> {
          optimizer.average(average, decay, x);
          return null;
        });
  }

  @Override
  public double sumOfSquares(Tensor x) {
    return sumOfSquares(List.of(x));
  }

  @Override
  public double sumOfSquares(Collection<Tensor> xs) {
    return backend.enqueue("sumOfSquares", () -> optimizer.sumOfSquares(xs));
  }

  @Override
  public void adamW(
      AdamW settings, Tensor parameter, Tensor gradient, Tensor firstMoment, Tensor secondMoment) {
    backend.enqueue(
        "adamW",
        () -> {
          optimizer.adamW(settings, parameter, gradient, firstMoment, secondMoment);
          return null;
        });
  }
}
