package dev.longalign.tensor;

import java.util.Arrays;

/** Derivatives in plain loops, in double precision, one rounding at the end. */
final class ReferenceGradients implements GradientOps {
  private final ReferenceBackend backend;

  ReferenceGradients(ReferenceBackend backend) {
    this.backend = backend;
  }

  private interface Function {
    double of(double value, double dy);
  }

  private Tensor map(Tensor x, Tensor dy, Function function) {
    double[] values = backend.doubles(x);
    double[] dx = backend.doubles(dy);
    for (int i = 0; i < dx.length; i++) {
      dx[i] = function.of(values[i], dx[i]);
    }
    return backend.of(x.dtype(), x.shape(), dx);
  }

  private static int rows(Tensor x) {
    return Math.toIntExact(x.shape().size() / Math.max(1, x.dim(-1)));
  }

  // ---- matrix products and convolutions

  @Override
  public Tensor linearInput(Tensor dy, LinearWeight weight) {
    double[] d = backend.doubles(dy);
    return rowsTimes(dy, d, weight.outFeatures(), (ReferenceLinear) weight);
  }

  private Tensor rowsTimes(Tensor dy, double[] d, int out, ReferenceLinear w) {
    int in = w.inFeatures();
    double[] dx = new double[d.length / out * in];
    for (int row = 0; row < d.length / out; row++) {
      for (int o = 0; o < out; o++) {
        for (int i = 0; i < in; i++) {
          dx[row * in + i] += d[row * out + o] * w.at(o, i);
        }
      }
    }
    return backend.of(dy.dtype(), dy.shape().with(-1, in), dx);
  }

  @Override
  public Tensor geglu(Tensor x, LinearWeight packedGeglu, Tensor dy) {
    ReferenceLinear w = (ReferenceLinear) packedGeglu;
    int inner = w.outFeatures();
    double[] d = backend.doubles(dy);
    double[] both = new double[2 * d.length];
    for (int row = 0; row < rows(x); row++) {
      double[] h = w.apply(backend.data(x), ReferenceBackend.start(x) + row * w.inFeatures());
      for (int c = 0; c < inner; c++) {
        double up = d[row * inner + c];
        both[2 * row * inner + c] = up * ReferenceMath.gelu(h[inner + c]);
        both[(2 * row + 1) * inner + c] =
            up * h[c] * ReferenceMath.derivative(Activation.GELU, h[inner + c]);
      }
    }
    return rowsTimes(dy, both, 2 * inner, w);
  }

  @Override
  public Tensor conv2dInput(Tensor dy, Tensor weight, Conv2dGeometry geometry, Shape x) {
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(conv2dInput(dy, backend.packConv2d(weight, null, geometry, dy.dtype()), x));
    }
  }

  private interface Tap {
    /** One product of the convolution: positions in x [B, H, W, in] and y [B, H', W', out]. */
    void visit(int x, int y, int in, int out, int row, int column);
  }

  private static void forEachTap(Shape x, Shape y, Conv2dGeometry g, Tap tap) {
    for (int pixel = 0; pixel < y.size() / y.dim(3); pixel++) {
      int left = pixel % y.intDim(2) * g.stride() - g.padLeft();
      int top = pixel / y.intDim(2) % y.intDim(1) * g.stride() - g.padTop();
      int b = pixel / y.intDim(2) / y.intDim(1);
      for (int i = 0; i < g.kernelHeight() * g.kernelWidth(); i++) {
        int row = top + i / g.kernelWidth();
        int column = left + i % g.kernelWidth();
        if (row < 0 || row >= x.dim(1) || column < 0 || column >= x.dim(2)) {
          continue;
        }
        int at = ((b * x.intDim(1) + row) * x.intDim(2) + column) * g.inChannels();
        for (int in = 0; in < g.inChannels(); in++) {
          for (int out = 0; out < g.outChannels(); out++) {
            tap.visit(
                at + in,
                pixel * g.outChannels() + out,
                in,
                out,
                i / g.kernelWidth(),
                i % g.kernelWidth());
          }
        }
      }
    }
  }

  @Override
  public Tensor conv2dInput(Tensor dy, Conv2dWeight weight, Shape x) {
    ReferenceConv2d w = (ReferenceConv2d) weight;
    double[] d = backend.doubles(dy);
    double[] dx = new double[Math.toIntExact(x.size())];
    forEachTap(
        x,
        dy.shape(),
        weight.geometry(),
        (to, from, in, out, row, column) -> dx[to] += d[from] * w.at(out, in, row, column));
    return backend.of(dy.dtype(), x, dx);
  }

  @Override
  public Tensor conv2dWeight(Tensor x, Tensor dy, Conv2dGeometry g) {
    double[] d = backend.doubles(dy);
    double[] values = backend.doubles(x);
    double[] dw = new double[Math.toIntExact(g.weightShape().size())];
    forEachTap(
        x.shape(),
        dy.shape(),
        g,
        (at, from, in, out, row, column) ->
            dw[((out * g.inChannels() + in) * g.kernelHeight() + row) * g.kernelWidth() + column] +=
                d[from] * values[at]);
    return backend.of(DType.F32, g.weightShape(), dw);
  }

  @Override
  public Tensor matmulTransposedA(Tensor a, Tensor b, DType dtype) {
    int k = a.dim(-2);
    int m = a.dim(-1);
    int n = b.dim(-1);
    double[] left = backend.doubles(a);
    double[] right = backend.doubles(b);
    Shape shape = a.shape().with(-2, m).with(-1, n);
    double[] y = new double[Math.toIntExact(shape.size())];
    for (int row = 0; row < left.length / m; row++) {
      for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
          y[(row / k * m + i) * n + j] += left[row * m + i] * right[row * n + j];
        }
      }
    }
    return backend.of(dtype, shape, y);
  }

  @Override
  public Tensor[] attention(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Tensor dy, boolean[] wanted) {
    return attention(q, k, v, heads, scale, dy, wanted, false);
  }

  @Override
  public Tensor[] causalAttention(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Tensor dy, boolean[] wanted) {
    return attention(q, k, v, heads, scale, dy, wanted, true);
  }

  private Tensor[] attention(
      Tensor q,
      Tensor k,
      Tensor v,
      int heads,
      float scale,
      Tensor dy,
      boolean[] wanted,
      boolean causal) {
    double[] qs = backend.doubles(q);
    double[] ks = backend.doubles(k);
    double[] vs = backend.doubles(v);
    double[] d = backend.doubles(dy);
    double[][] gradients = {
      new double[qs.length], new double[ks.length], new double[vs.length],
    };
    int keys = k.dim(1);
    int width = q.dim(2);
    int depth = width / heads;
    for (int i = 0; i < q.dim(0) * q.dim(1) * heads; i++) {
      int query = i / heads * width + i % heads * depth;
      int key = i / heads / q.dim(1) * keys * width + i % heads * depth;
      int seen = causal ? i / heads % q.dim(1) + 1 : keys;
      double[] p = new double[seen];
      double[] dp = new double[seen];
      for (int s = 0; s < seen; s++) {
        p[s] = scale * dot(qs, query, ks, key + s * width, depth);
        dp[s] = dot(d, query, vs, key + s * width, depth);
      }
      softmax(p);
      double mean = dot(p, 0, dp, 0, seen);
      for (int s = 0; s < seen; s++) {
        double ds = scale * p[s] * (dp[s] - mean);
        for (int c = 0; c < depth; c++) {
          int at = key + s * width + c;
          gradients[0][query + c] += ds * ks[at];
          gradients[1][at] += ds * qs[query + c];
          gradients[2][at] += p[s] * d[query + c];
        }
      }
    }
    Tensor[] inputs = {q, k, v};
    Tensor[] results = new Tensor[inputs.length];
    for (int i = 0; i < results.length; i++) {
      results[i] = wanted[i] ? backend.of(q.dtype(), inputs[i].shape(), gradients[i]) : null;
    }
    return results;
  }

  private static double dot(double[] a, int atA, double[] b, int atB, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) {
      sum += a[atA + i] * b[atB + i];
    }
    return sum;
  }

  private static void softmax(double[] x) {
    double max = Arrays.stream(x).max().orElse(0);
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      x[i] = Math.exp(x[i] - max);
      sum += x[i];
    }
    for (int i = 0; i < x.length; i++) {
      x[i] /= sum;
    }
  }

  // ---- normalisation

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
    int channels = x.dim(-1);
    int pixels = rows(x) / x.dim(0);
    int perGroup = channels / groups;
    int[][] members = new int[x.dim(0) * groups][pixels * perGroup];
    for (int i = 0; i < members.length; i++) {
      int first = i / groups * pixels * channels + i % groups * perGroup;
      Arrays.setAll(members[i], j -> first + j / perGroup * channels + j % perGroup);
    }
    return norm(x, members, gamma, backend.doubles(beta), eps, activation, dy, wanted);
  }

  @Override
  public Tensor[] layerNorm(Tensor x, Tensor gamma, float eps, Tensor dy, boolean[] wanted) {
    int channels = x.dim(-1);
    int[][] members = new int[rows(x)][channels];
    for (int i = 0; i < members.length; i++) {
      int first = i * channels;
      Arrays.setAll(members[i], j -> first + j);
    }
    return norm(x, members, gamma, new double[channels], eps, Activation.NONE, dy, wanted);
  }

  private Tensor[] norm(
      Tensor x,
      int[][] groups,
      Tensor gamma,
      double[] beta,
      float eps,
      Activation activation,
      Tensor dy,
      boolean[] wanted) {
    double[] values = backend.doubles(x);
    double[] d = backend.doubles(dy);
    double[] scale = backend.doubles(gamma);
    double[] dx = new double[values.length];
    double[] dGamma = new double[scale.length];
    double[] dBeta = new double[scale.length];
    for (int[] group : groups) {
      double mean = Arrays.stream(group).mapToDouble(i -> values[i]).average().orElse(0);
      double variance =
          Arrays.stream(group)
              .mapToDouble(i -> (values[i] - mean) * (values[i] - mean))
              .average()
              .orElse(0);
      double inverse = 1 / Math.sqrt(variance + eps);
      double meanDn = 0;
      double meanAlong = 0;
      for (int i : group) {
        int c = i % scale.length;
        double n = (values[i] - mean) * inverse;
        d[i] *= ReferenceMath.derivative(activation, scale[c] * n + beta[c]);
        dGamma[c] += d[i] * n;
        dBeta[c] += d[i];
        meanDn += d[i] * scale[c] / group.length;
        meanAlong += d[i] * scale[c] * n / group.length;
      }
      for (int i : group) {
        double n = (values[i] - mean) * inverse;
        dx[i] = (d[i] * scale[i % scale.length] - meanDn - n * meanAlong) * inverse;
      }
    }
    return new Tensor[] {
      wanted[0] ? backend.of(x.dtype(), x.shape(), dx) : null,
      wanted[1] ? backend.of(DType.F32, gamma.shape(), dGamma) : null,
      wanted[2] ? backend.of(DType.F32, gamma.shape(), dBeta) : null
    };
  }

  @Override
  public Tensor normalizeRows(Tensor x, Tensor dy) {
    double[] values = backend.doubles(x);
    double[] d = backend.doubles(dy);
    int width = x.dim(-1);
    double[] dx = new double[d.length];
    for (int i = 0; i < d.length; i++) {
      int row = i / width * width;
      double squares = dot(values, row, values, row, width);
      double along = dot(values, row, d, row, width);
      dx[i] = (d[i] - values[i] * along / squares) / Math.sqrt(squares);
    }
    return backend.of(x.dtype(), x.shape(), dx);
  }

  // ---- pointwise

  @Override
  public Tensor activation(Tensor x, Activation activation, Tensor dy) {
    return map(x, dy, (v, d) -> d * ReferenceMath.derivative(activation, v));
  }

  @Override
  public Tensor gatedGelu(Tensor x, Tensor dy) {
    double[] values = backend.doubles(x);
    double[] d = backend.doubles(dy);
    int n = dy.dim(-1);
    double[] dx = new double[values.length];
    for (int i = 0; i < d.length; i++) {
      int hidden = i / n * 2 * n + i % n;
      double gate = values[hidden + n];
      dx[hidden] = d[i] * ReferenceMath.gelu(gate);
      dx[hidden + n] = d[i] * values[hidden] * ReferenceMath.derivative(Activation.GELU, gate);
    }
    return backend.of(x.dtype(), x.shape(), dx);
  }

  @Override
  public Tensor clamp(Tensor x, float low, float high, Tensor dy) {
    return map(x, dy, (v, d) -> v >= low && v <= high ? d : 0);
  }

  @Override
  public Tensor pseudoHuber(Tensor x, float c, Tensor dy) {
    return map(x, dy, (v, d) -> d * v / Math.sqrt(v * v + (double) c * c));
  }

  @Override
  public Tensor scatterRows(Tensor dy, int[] rows, long count) {
    double[] values = backend.doubles(dy);
    Shape shape = dy.shape().with(0, count);
    int width = Math.toIntExact(shape.size() / count);
    double[] sums = new double[Math.toIntExact(shape.size())];
    for (int i = 0; i < values.length; i++) {
      sums[rows[i / width] * width + i % width] += values[i];
    }
    return backend.of(dy.dtype(), shape, sums);
  }

  @Override
  public Tensor logSumExp(Tensor x, Tensor dy) {
    double[] values = backend.doubles(x);
    double[] factors = backend.doubles(dy);
    int width = x.dim(-1);
    for (int row = 0; row < factors.length; row++) {
      double[] p = Arrays.copyOfRange(values, row * width, (row + 1) * width);
      softmax(p);
      for (int c = 0; c < width; c++) {
        values[row * width + c] = factors[row] * p[c];
      }
    }
    return backend.of(x.dtype(), x.shape(), values);
  }

  // ---- sums and their opposites

  @Override
  public Tensor columnSums(Tensor x, int groups) {
    double[] values = backend.doubles(x);
    int columns = x.dim(-1);
    double[] sums = new double[groups * columns];
    int perGroup = values.length / groups;
    for (int i = 0; i < values.length; i++) {
      sums[i / perGroup * columns + i % columns] += values[i];
    }
    return backend.of(DType.F32, Shape.of(groups, columns), sums);
  }

  @Override
  public Tensor scaleRows(Tensor x, Tensor factors) {
    double[] values = backend.doubles(x);
    double[] scale = backend.doubles(factors);
    for (int i = 0; i < values.length; i++) {
      values[i] *= scale[i / x.dim(-1)];
    }
    return backend.of(x.dtype(), x.shape(), values);
  }

  @Override
  public Tensor expand(Tensor scalar, DType dtype, Shape shape) {
    double[] values = new double[Math.toIntExact(shape.size())];
    Arrays.fill(values, backend.doubles(scalar)[0]);
    return backend.of(dtype, shape, values);
  }

  @Override
  public Tensor upsampleNearest(Tensor dy, int height, int width) {
    double[] d = backend.doubles(dy);
    int channels = dy.dim(3);
    Shape to = Shape.of(dy.dim(0), height, width, channels);
    double[] sums = new double[Math.toIntExact(to.size())];
    for (int i = 0; i < d.length; i++) {
      int column = i / channels % dy.dim(2) * width / dy.dim(2);
      int row = i / channels / dy.dim(2) % dy.dim(1) * height / dy.dim(1);
      int b = i / channels / dy.dim(2) / dy.dim(1);
      sums[((b * height + row) * width + column) * channels + i % channels] += d[i];
    }
    return backend.of(dy.dtype(), to, sums);
  }
}
