package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.Arrays;
import java.util.List;

/** Derivatives of matrix products. */
final class MatrixGradient {
  private final CpuContext context;
  private final MatrixOps matrix;
  private final PointwiseGradient pointwise;

  MatrixGradient(CpuContext context, MatrixOps matrix, PointwiseGradient pointwise) {
    this.context = context;
    this.matrix = matrix;
    this.pointwise = pointwise;
  }

  /** {@code dy W}. */
  Tensor linearInput(Tensor dy, LinearWeight weight) {
    return input(dy, ((MatrixOps.CpuLinearWeight) weight).weight, weight, null);
  }

  /** {@code dy W + more}; null is left out. */
  private Tensor input(Tensor dy, PackedWeight packed, LinearWeight weight, Tensor more) {
    DType dtype = dy.dtype();
    int in = weight.inFeatures();
    int out = weight.outFeatures();
    // As torch stores it, [out, in], the weight is what dy is multiplied by.
    PackedWeight twin =
        packed.twin(
            context.cache(),
            () -> Layout.strided(dtype, new long[] {in, out}, new long[] {1, in}),
            () -> Layout.dense(dtype, out, in));
    Tensor dx = context.allocate(dtype, dy.shape().with(-1, in));
    matrix.product(dy, twin, dx, Activation.NONE, more, null);
    return dx;
  }

  Tensor geglu(Tensor x, LinearWeight packed, Tensor dy) {
    MatrixOps.CpuLinearWeight weight = (MatrixOps.CpuLinearWeight) packed;
    Tensor hidden = context.allocateLike(dy);
    Tensor gate = context.allocateLike(dy);
    matrix.product(x, weight.weight, hidden, Activation.NONE, null, null);
    matrix.product(x, weight.gate, gate, Activation.NONE, null, null);
    context.work().repeated(4.0 * x.shape().size() * packed.outFeatures());
    Tensor dGated = CpuTraining.product(context, dy, hidden);
    Tensor dGate = pointwise.activation(gate, Activation.GELU, dGated);
    Tensor dHidden =
        CpuTraining.product(context, dy, context.backend().activation(gate, Activation.GELU));
    Tensor part = input(dGate, weight.gate, packed, null);
    return input(dHidden, weight.weight, packed, part);
  }

  /** {@code a^T b}: [..., K, M] x [..., K, N] -> [..., M, N]. */
  Tensor transposedA(Tensor a, Tensor b, DType dtype) {
    long k = a.shape().dim(-2);
    long m = a.shape().dim(-1);
    long n = b.shape().dim(-1);
    Shape shape = a.shape().with(-2, m).with(-1, n);
    if (k == 0 || shape.size() == 0) {
      return context.backend().zeros(dtype, shape);
    }
    long batch = a.shape().size() / (m * k);
    Tensor y = context.allocate(dtype, shape);
    DType in = a.dtype();
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("transposedA", batch, m, k, n, in, dtype),
                () ->
                    MatrixOps.batched(
                        Layout.strided(in, new long[] {batch, m, k}, new long[] {m * k, 1, m}),
                        Layout.dense(in, batch, k, n),
                        Layout.dense(dtype, batch, m, n)));
    primitive.execute(context.memory(), address(a), address(b), address(y));
    if (m > 1) { // else it is a sum
      context.work().ran(batch, new WorkLog.Product(m, k, n, in));
    }
    return y;
  }

  /** A product with a row of ones. */
  Tensor columnSums(Tensor x, int groups) {
    long columns = x.shape().dim(-1);
    if (x.shape().size() == 0) {
      return context.backend().zeros(DType.F32, Shape.of(groups, columns));
    }
    long rows = x.shape().size() / groups / columns;
    float[] ones = new float[Math.toIntExact(groups * rows)];
    Arrays.fill(ones, 1);
    Tensor one = CpuTraining.of(context, ones, x.dtype(), Shape.of(groups, rows, 1));
    Tensor sums = transposedA(one, x.reshape(groups, rows, columns), DType.F32);
    return sums.reshape(groups, columns);
  }
}
