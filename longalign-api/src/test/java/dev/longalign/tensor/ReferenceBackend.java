package dev.longalign.tensor;

import dev.longalign.LongAlignException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Map;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * The control that other backends are compared with: plain loops, sums in double, one rounding to
 * the tensor's type at the end of each operation. Elements are held as {@code float[]}; BF16 and
 * F16 tensors hold values that those types can represent.
 */
public final class ReferenceBackend implements Backend {
  private final ReferenceMemory.Counter counter = new ReferenceMemory.Counter();

  @Override
  public String name() {
    return "reference (plain Java)";
  }

  @Override
  public boolean supports(DType dtype) {
    return dtype == DType.F32 || dtype == DType.BF16 || dtype == DType.F16;
  }

  @Override
  public MemoryUse memory() {
    return counter.use();
  }

  @Override
  public Map<String, OperationCost> costs() {
    return Map.of();
  }

  @Override
  public double roofGflops() {
    return Double.NaN;
  }

  @Override
  public void resetPeakMemory() {
    counter.resetPeak();
  }

  @Override
  public TrainingOps training() {
    return new ReferenceTraining(this);
  }

  @Override
  public GradientOps gradients() {
    return new ReferenceGradients(this);
  }

  @Override
  public void close() {}

  // ---- memory

  @Override
  public Tensor upload(ByteBuffer elements, DType dtype, Shape shape) {
    Tensor y = result(dtype, shape);
    float[] data = data(y);
    ByteBuffer bytes = elements.slice().order(ByteOrder.LITTLE_ENDIAN);
    if (bytes.remaining() < shape.size() * dtype.bytes()) {
      throw new LongAlignException("upload: " + bytes.remaining() + " bytes do not fill " + y);
    }
    for (int i = 0; i < data.length; i++) {
      data[i] =
          switch (dtype) {
            case F32 -> bytes.getFloat(4 * i);
            case F16 -> ReferenceMath.fromF16(bytes.getShort(2 * i));
            default -> Float.intBitsToFloat(bytes.getShort(2 * i) << 16);
          };
    }
    return y;
  }

  @Override
  public void download(Tensor x, float[] into) {
    System.arraycopy(data(x), start(x), into, 0, size(x));
  }

  @Override
  public Tensor zeros(DType dtype, Shape shape) {
    return result(dtype, shape);
  }

  @Override
  public Tensor cast(Tensor x, DType dtype) {
    return fill(result(dtype, x.shape()), i -> at(x, i));
  }

  // ---- weights

  @Override
  public LinearWeight packLinear(Tensor weight, Tensor bias, DType dtype) {
    return packMatrix("packLinear", weight, bias, weight.dim(0), dtype);
  }

  @Override
  public LinearWeight packGeglu(Tensor weight, Tensor bias, DType dtype) {
    return packMatrix("packGeglu", weight, bias, weight.dim(0) / 2, dtype);
  }

  @Override
  public Conv2dWeight packConv2d(Tensor weight, Tensor bias, Conv2dGeometry geometry, DType dtype) {
    checkPack("packConv2d", weight, bias, geometry.weightShape(), dtype);
    float[] biases = biasOf(bias, geometry.outChannels());
    return TensorScope.register(
        new ReferenceConv2d(counter, weight.toFloats(), biases, geometry, dtype));
  }

  private LinearWeight packMatrix(
      String op, Tensor weight, Tensor bias, int outFeatures, DType dtype) {
    checkPack(op, weight, bias, Shape.of(weight.shape().dim(0), weight.shape().dim(-1)), dtype);
    float[] biases = biasOf(bias, weight.dim(0));
    return TensorScope.register(
        new ReferenceLinear(counter, weight.toFloats(), biases, outFeatures, dtype));
  }

  private static float[] biasOf(Tensor bias, int out) {
    return bias == null ? new float[out] : bias.toFloats();
  }

  private void checkPack(String op, Tensor weight, Tensor bias, Shape expected, DType dtype) {
    checkSupported(dtype);
    if (!weight.shape().equals(expected)) {
      throw new LongAlignException(op + ": weight " + weight.shape() + ", expected " + expected);
    }
    if (bias != null && bias.shape().size() != expected.dim(0)) {
      throw new LongAlignException(
          op + ": bias " + bias.shape() + ", expected [" + expected.dim(0) + "]");
    }
  }

  // ---- matrix products and convolutions

  @Override
  public Tensor linear(Tensor x, LinearWeight weight, Epilogue epilogue) {
    ReferenceLinear w = (ReferenceLinear) weight;
    Tensor y = result(x.dtype(), x.shape().with(-1, w.outFeatures()));
    forEach(
        rowsOf(x),
        row -> finish(y, row, w.apply(data(x), start(x) + row * w.inFeatures()), epilogue));
    return y;
  }

  @Override
  public Tensor geglu(Tensor x, LinearWeight packedGeglu) {
    ReferenceLinear w = (ReferenceLinear) packedGeglu;
    int inner = w.outFeatures();
    Tensor y = result(x.dtype(), x.shape().with(-1, inner));
    forEach(
        rowsOf(x),
        row -> {
          double[] both = w.apply(data(x), start(x) + row * w.inFeatures());
          double[] gated = new double[inner];
          for (int c = 0; c < inner; c++) {
            gated[c] = both[c] * ReferenceMath.gelu(both[inner + c]);
          }
          finish(y, row, gated, Epilogue.NONE);
        });
    return y;
  }

  @Override
  public Tensor conv2d(Tensor x, Conv2dWeight weight, Epilogue epilogue) {
    ReferenceConv2d w = (ReferenceConv2d) weight;
    Conv2dGeometry g = w.geometry();
    int height = g.outHeight(x.dim(1));
    int width = g.outWidth(x.dim(2));
    Tensor y = result(x.dtype(), Shape.of(x.dim(0), height, width, g.outChannels()));
    forEach(
        x.dim(0) * height * width,
        pixel -> {
          int image = start(x) + pixel / (height * width) * x.dim(1) * x.dim(2) * x.dim(3);
          int top = pixel / width % height * g.stride() - g.padTop();
          int left = pixel % width * g.stride() - g.padLeft();
          finish(y, pixel, w.apply(data(x), image, x.dim(1), x.dim(2), top, left), epilogue);
        });
    return y;
  }

  /** Applies the epilogue to one row of sums, rounds it and stores it. */
  private void finish(Tensor y, int row, double[] sums, Epilogue epilogue) {
    int channels = sums.length;
    int b = row / Math.max(1, rowsOf(y) / y.dim(0)); // 0 for a single row
    for (int c = 0; c < channels; c++) {
      double value = sums[c];
      if (epilogue.channelBias() != null) {
        value += at(epilogue.channelBias(), b * channels + c);
      }
      value = ReferenceMath.apply(epilogue.activation(), value);
      if (epilogue.residual() != null) {
        value += at(epilogue.residual(), row * channels + c);
      }
      set(y, row * channels + c, value);
    }
  }

  @Override
  public Tensor matmul(Tensor a, Tensor b, boolean transposeB) {
    int m = a.dim(-2);
    int k = a.dim(-1);
    int n = b.dim(transposeB ? -2 : -1);
    Tensor y = result(a.dtype(), a.shape().with(-1, n));
    forEach(
        rowsOf(a),
        row -> {
          int matrix = row / m;
          for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int i = 0; i < k; i++) {
              int inMatrix = transposeB ? j * k + i : i * n + j;
              sum += (double) at(a, row * k + i) * at(b, matrix * k * n + inMatrix);
            }
            set(y, row * n + j, sum);
          }
        });
    return y;
  }

  @Override
  public Tensor attention(Tensor q, Tensor k, Tensor v, int heads, float scale) {
    return attention(q, k, v, heads, scale, false);
  }

  Tensor attention(Tensor q, Tensor k, Tensor v, int heads, float scale, boolean causal) {
    int queries = q.dim(1);
    int keys = k.dim(1);
    int width = q.dim(2);
    int d = width / heads;
    Tensor y = result(q.dtype(), q.shape());
    forEach(
        q.dim(0) * queries * heads,
        i -> {
          int query = i / heads * width + i % heads * d;
          int key = i / heads / queries * keys * width + i % heads * d;
          int seen = causal ? i / heads % queries + 1 : keys;
          double[] p = softmax(scores(q, k, query, key, seen, width, d, scale));
          double[] sums = new double[d];
          float[] values = data(v);
          for (int s = 0; s < seen; s++) {
            int value = start(v) + key + s * width;
            for (int c = 0; c < d; c++) {
              sums[c] += p[s] * values[value + c];
            }
          }
          for (int c = 0; c < d; c++) {
            set(y, query + c, sums[c]);
          }
        });
    return y;
  }

  private double[] scores(
      Tensor q, Tensor k, int query, int key, int keys, int width, int d, float scale) {
    float[] queryData = data(q);
    float[] keyData = data(k);
    int from = start(q) + query;
    double[] scores = new double[keys];
    for (int s = 0; s < keys; s++) {
      int to = start(k) + key + s * width;
      double dot = 0;
      for (int c = 0; c < d; c++) {
        dot += (double) queryData[from + c] * keyData[to + c];
      }
      scores[s] = scale * dot;
    }
    return scores;
  }

  private static double[] softmax(double[] scores) {
    double max = Double.NEGATIVE_INFINITY;
    for (double score : scores) {
      max = Math.max(max, score);
    }
    double[] p = new double[scores.length];
    double sum = 0;
    for (int s = 0; s < p.length; s++) {
      p[s] = Math.exp(scores[s] - max);
      sum += p[s];
    }
    for (int s = 0; s < p.length; s++) {
      p[s] /= sum;
    }
    return p;
  }

  // ---- normalisation and pointwise

  @Override
  public Tensor groupNorm(
      Tensor x, int groups, Tensor gamma, Tensor beta, float eps, Activation activation) {
    int channels = x.dim(-1);
    int pixels = rowsOf(x) / x.dim(0);
    int perGroup = channels / groups;
    Tensor y = result(x.dtype(), x.shape());
    forEach(
        x.dim(0) * groups,
        i -> {
          int first = i / groups * pixels * channels + i % groups * perGroup;
          int[] members = new int[pixels * perGroup];
          for (int j = 0; j < members.length; j++) {
            members[j] = first + j / perGroup * channels + j % perGroup;
          }
          normalise(x, y, members, gamma, beta, eps, activation);
        });
    return y;
  }

  @Override
  public Tensor layerNorm(Tensor x, Tensor gamma, Tensor beta, float eps) {
    int channels = x.dim(-1);
    Tensor y = result(x.dtype(), x.shape());
    forEach(
        rowsOf(x),
        row -> {
          int[] members = IntStream.range(row * channels, (row + 1) * channels).toArray();
          normalise(x, y, members, gamma, beta, eps, Activation.NONE);
        });
    return y;
  }

  /** Normalises the elements at the given positions by their own mean and (biased) variance. */
  private void normalise(
      Tensor x,
      Tensor y,
      int[] members,
      Tensor gamma,
      Tensor beta,
      float eps,
      Activation activation) {
    double mean = 0;
    for (int i : members) {
      mean += at(x, i);
    }
    mean /= members.length;
    double variance = 0;
    for (int i : members) {
      variance += (at(x, i) - mean) * (at(x, i) - mean);
    }
    variance /= members.length;
    double scale = 1 / Math.sqrt(variance + eps);
    for (int i : members) {
      int c = i % x.dim(-1);
      double value = (at(x, i) - mean) * scale * at(gamma, c) + at(beta, c);
      set(y, i, ReferenceMath.apply(activation, value));
    }
  }

  @Override
  public Tensor activation(Tensor x, Activation activation) {
    return fill(result(x.dtype(), x.shape()), i -> ReferenceMath.apply(activation, at(x, i)));
  }

  @Override
  public Tensor gatedGelu(Tensor x) {
    int n = x.dim(-1) / 2;
    return fill(
        result(x.dtype(), x.shape().with(-1, n)),
        i -> at(x, i / n * 2 * n + i % n) * ReferenceMath.gelu(at(x, i / n * 2 * n + n + i % n)));
  }

  @Override
  public Tensor linearCombination(float[] coefficients, Tensor... xs) {
    return fill(
        result(xs[0].dtype(), xs[0].shape()),
        i -> {
          double sum = 0;
          for (int j = 0; j < xs.length; j++) {
            sum += (double) coefficients[j] * at(xs[j], i);
          }
          return sum;
        });
  }

  @Override
  public Tensor clamp(Tensor x, float low, float high) {
    return fill(result(x.dtype(), x.shape()), i -> Math.max(low, Math.min(high, at(x, i))));
  }

  // ---- shape

  @Override
  public Tensor reshape(Tensor x, Shape shape) {
    return new Tensor(this, x.storage(), x.offset(), x.dtype(), shape);
  }

  @Override
  public Tensor rows(Tensor x, long from, long to) {
    long rowSize = x.shape().with(0, 1).size();
    return new Tensor(
        this, x.storage(), x.offset() + from * rowSize, x.dtype(), x.shape().with(0, to - from));
  }

  @Override
  public Tensor concat(int axis, Tensor... xs) {
    long joined = Arrays.stream(xs).mapToLong(x -> x.shape().dim(axis)).sum();
    Tensor y = result(xs[0].dtype(), xs[0].shape().with(axis, joined));
    int outer = 1;
    for (int i = 0; i < axis; i++) {
      outer *= y.dim(i);
    }
    int to = 0;
    for (int o = 0; o < outer; o++) {
      for (Tensor x : xs) {
        int run = size(x) / Math.max(1, outer);
        System.arraycopy(data(x), start(x) + o * run, data(y), to, run);
        to += run;
      }
    }
    return y;
  }

  @Override
  public Tensor upsampleNearest(Tensor x, int height, int width) {
    int fromHeight = x.dim(1);
    int fromWidth = x.dim(2);
    int channels = x.dim(3);
    return fill(
        result(x.dtype(), Shape.of(x.dim(0), height, width, channels)),
        i -> {
          int column = i / channels % width;
          int row = i / channels / width % height;
          int b = i / channels / width / height;
          int fromRow = row * fromHeight / height;
          int fromColumn = column * fromWidth / width;
          return at(
              x, ((b * fromHeight + fromRow) * fromWidth + fromColumn) * channels + i % channels);
        });
  }

  // ---- this library's own

  @Override
  public Tensor segmentConcat(
      Tensor hidden,
      int[][] ids,
      int[] segmentsPerCaption,
      int eosId,
      int padId,
      Tensor padEmbedding,
      int tokenLength) {
    int width = hidden.dim(2);
    int length = hidden.dim(1);
    Tensor y = result(hidden.dtype(), Shape.of(segmentsPerCaption.length, tokenLength, width));
    int segment = 0;
    for (int caption = 0; caption < segmentsPerCaption.length; caption++) {
      int filled = 0;
      for (int s = 0; s < segmentsPerCaption[caption]; s++, segment++) {
        for (int t = 0; t < length; t++) {
          if (ids[segment][t] != eosId && ids[segment][t] != padId && filled < tokenLength) {
            copyRow(hidden, segment * length + t, y, caption * tokenLength + filled++, width);
          }
        }
      }
      while (filled < tokenLength) {
        copyRow(padEmbedding, 0, y, caption * tokenLength + filled++, width);
      }
    }
    return y;
  }

  private void copyRow(Tensor x, int fromRow, Tensor y, int toRow, int width) {
    System.arraycopy(data(x), start(x) + fromRow * width, data(y), toRow * width, width);
  }

  // ---- storage

  private interface ElementFunction {
    double at(int index);
  }

  /** The values in double precision. */
  double[] doubles(Tensor x) {
    double[] values = new double[size(x)];
    Arrays.setAll(values, i -> at(x, i));
    return values;
  }

  /** A new tensor of values that are rounded once. */
  Tensor of(DType dtype, Shape shape, double[] values) {
    return fill(result(dtype, shape), i -> values[i]);
  }

  private Tensor fill(Tensor y, ElementFunction function) {
    forEach(size(y), i -> set(y, i, function.at(i)));
    return y;
  }

  private static void forEach(int n, IntConsumer body) {
    IntStream.range(0, n).parallel().forEach(body);
  }

  /** A new tensor of zeros. */
  private Tensor result(DType dtype, Shape shape) {
    checkSupported(dtype);
    ReferenceMemory memory = new ReferenceMemory(counter, Math.toIntExact(shape.size()), dtype);
    return new Tensor(this, TensorScope.register(memory), 0, dtype, shape);
  }

  private void checkSupported(DType dtype) {
    if (!supports(dtype)) {
      throw new LongAlignException(
          name() + " does not compute in " + dtype + "; use F32, BF16 or F16");
    }
  }

  float[] data(Tensor x) {
    if (x.backend() != this) {
      throw new LongAlignException(
          x + " belongs to " + x.backend().name() + ", not to this " + name());
    }
    return ((ReferenceMemory) x.storage()).data;
  }

  private float at(Tensor x, int index) {
    return data(x)[start(x) + index];
  }

  private void set(Tensor y, int index, double value) {
    data(y)[index] = ReferenceMath.round(y.dtype(), value);
  }

  static int start(Tensor x) {
    return Math.toIntExact(x.offset());
  }

  private static int size(Tensor x) {
    return Math.toIntExact(x.shape().size());
  }

  private static int rowsOf(Tensor x) {
    return size(x) / Math.max(1, x.dim(-1));
  }
}
