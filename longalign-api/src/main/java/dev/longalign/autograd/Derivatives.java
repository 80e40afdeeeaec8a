package dev.longalign.autograd;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.GradientOps;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.function.Supplier;

/**
 * The derivative of every operation, in one place: a line for each input, in the operation's order.
 * The comment says what is kept from the forward pass; {@code s} is that.
 */
final class Derivatives {
  private final Backend inner;
  private final GradientOps g;

  Derivatives(Backend inner, GradientOps gradients) {
    this.inner = inner;
    this.g = gradients;
  }

  @SafeVarargs
  private static Tensor[] each(boolean[] wanted, Supplier<Tensor>... gradients) {
    Tensor[] results = new Tensor[gradients.length];
    for (int i = 0; i < results.length; i++) {
      results[i] = wanted[i] ? gradients[i].get() : null;
    }
    return results;
  }

  private static Tensor[] one(Tensor gradient) {
    return new Tensor[] {gradient};
  }

  private static Tensor matrix(Tensor x) { // [..., n] -> [rows, n]
    long n = x.shape().dim(-1);
    return x.reshape(n == 0 ? 0 : x.shape().size() / n, n);
  }

  // ---- matrix products and convolutions

  Derivative linear(LinearWeight weight) { // x, channelBias, residual; keeps nothing
    return (dy, wanted, s) ->
        each(wanted, () -> g.linearInput(dy, weight), () -> g.columnSums(dy, dy.dim(0)), () -> dy);
  }

  Derivative geglu(LinearWeight packed) { // x; keeps x
    return (dy, wanted, s) -> one(g.geglu(s[0], packed, dy));
  }

  Derivative conv2d(Conv2dWeight weight, Shape x) { // x, channelBias, residual; keeps nothing
    return (dy, wanted, s) ->
        each(
            wanted,
            () -> g.conv2dInput(dy, weight, x),
            () -> g.columnSums(dy, dy.dim(0)),
            () -> dy);
  }

  Derivative linear(Shape x) { // x, weight, bias; keeps x for the weight, the weight for x
    return (dy, wanted, s) ->
        each(
            wanted,
            () -> matrix(dy).matmul(s[1].cast(dy.dtype()), false).reshape(x.toArray()),
            () -> g.matmulTransposedA(matrix(dy), matrix(s[0]), DType.F32),
            () -> g.columnSums(matrix(dy), 1));
  }

  Derivative conv2d(Shape x, Conv2dGeometry geometry) { // x, weight; keeps as linear
    return (dy, wanted, s) ->
        each(
            wanted,
            () -> g.conv2dInput(dy, s[1], geometry, x),
            () -> g.conv2dWeight(s[0], dy, geometry));
  }

  Derivative matmul(boolean transposeB) { // a, b; keeps b for a, a for b
    return (dy, wanted, s) ->
        each(
            wanted,
            () -> dy.matmul(s[1], !transposeB),
            () ->
                transposeB
                    ? g.matmulTransposedA(dy, s[0], dy.dtype())
                    : g.matmulTransposedA(s[0], dy, dy.dtype()));
  }

  Derivative attention(int heads, float scale) { // q, k, v; keeps all three
    return (dy, wanted, s) -> g.attention(s[0], s[1], s[2], heads, scale, dy, wanted);
  }

  Derivative causalAttention(int heads, float scale) { // q, k, v; keeps all three
    return (dy, wanted, s) -> g.causalAttention(s[0], s[1], s[2], heads, scale, dy, wanted);
  }

  // ---- normalisation and pointwise

  Derivative groupNorm(int groups, float eps, Activation activation) { // x, gamma, beta; keeps all
    return (dy, wanted, s) -> g.groupNorm(s[0], groups, s[1], s[2], eps, activation, dy, wanted);
  }

  Derivative layerNorm(float eps) { // x, gamma, beta; keeps x, gamma
    return (dy, wanted, s) -> g.layerNorm(s[0], s[1], eps, dy, wanted);
  }

  Derivative normalizeRows() { // x; keeps x
    return (dy, wanted, s) -> one(g.normalizeRows(s[0], dy));
  }

  Derivative activation(Activation activation) { // x; keeps x
    return (dy, wanted, s) -> one(g.activation(s[0], activation, dy));
  }

  Derivative gatedGelu() { // x; keeps x
    return (dy, wanted, s) -> one(g.gatedGelu(s[0], dy));
  }

  Derivative linearCombination(float[] coefficients) { // xs; keeps nothing
    return (dy, wanted, s) -> {
      Tensor[] results = new Tensor[coefficients.length];
      for (int i = 0; i < results.length; i++) {
        if (wanted[i]) {
          results[i] = coefficients[i] == 1 ? dy : dy.scale(coefficients[i]);
        }
      }
      return results;
    };
  }

  Derivative multiply() { // a, b; keeps b for a, a for b
    return (dy, wanted, s) -> each(wanted, () -> dy.multiply(s[1]), () -> dy.multiply(s[0]));
  }

  Derivative scaleExp() { // x, logScale; keeps logScale, x for logScale
    return (dy, wanted, s) ->
        each(wanted, () -> dy.scaleExp(s[0]), () -> dy.multiply(s[1]).sum().scaleExp(s[0]));
  }

  Derivative dropout(float p, long key) { // x; keeps nothing, the key gives the same mask
    return (dy, wanted, s) -> one(dy.dropout(p, key));
  }

  Derivative clamp(float low, float high) { // x; keeps x
    return (dy, wanted, s) -> one(g.clamp(s[0], low, high, dy));
  }

  Derivative pseudoHuber(float c) { // x; keeps x
    return (dy, wanted, s) -> one(g.pseudoHuber(s[0], c, dy));
  }

  Derivative cast(DType from) { // x; keeps nothing
    return (dy, wanted, s) -> one(dy.cast(from));
  }

  // ---- shape and sums; reshape and rows are views, whose gradient is a view

  Derivative concat(int axis, long[] extents) { // xs; keeps nothing
    return (dy, wanted, s) -> {
      Tensor[] results = new Tensor[extents.length];
      long from = 0;
      for (int i = 0; i < results.length; i++) {
        results[i] = wanted[i] ? dy.slice(axis, from, from + extents[i]) : null;
        from += extents[i];
      }
      return results;
    };
  }

  Derivative slice(int axis, long from, long to, Shape x) { // x; keeps nothing
    return (dy, wanted, s) -> {
      Tensor before = inner.zeros(dy.dtype(), x.with(axis, from));
      Tensor after = inner.zeros(dy.dtype(), x.with(axis, x.dim(axis) - to));
      return one(Tensor.concat(axis, before, dy, after));
    };
  }

  Derivative gatherRows(int[] rows, long count) { // x; keeps nothing
    return (dy, wanted, s) -> one(g.scatterRows(dy, rows, count));
  }

  Derivative upsampleNearest(int height, int width) { // x; keeps nothing
    return (dy, wanted, s) -> one(g.upsampleNearest(dy, height, width));
  }

  Derivative sum(DType dtype, Shape x) { // x; keeps nothing
    return (dy, wanted, s) -> one(g.expand(dy, dtype, x));
  }

  Derivative logSumExp() { // x; keeps x
    return (dy, wanted, s) -> one(g.logSumExp(s[0], dy));
  }

  Derivative rowDots() { // a, b; keeps b for a, a for b
    return (dy, wanted, s) ->
        each(wanted, () -> g.scaleRows(s[1], dy), () -> g.scaleRows(s[0], dy));
  }
}
