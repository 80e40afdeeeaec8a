package dev.longalign.tensor;

import dev.longalign.LongAlignException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Locale;

/**
 * A handle on an n-dimensional array of a {@link Backend}. Shapes are checked here, once, for every
 * backend; the memory belongs to a {@link TensorScope}. Images are NHWC, sequences [B, L, C].
 * Immutable, safe to share between threads while its scope is open.
 */
public final class Tensor {
  private final Backend backend;
  private final Storage storage;
  private final long offset;
  private final DType dtype;
  private final Shape shape;

  /** For backends. {@code offset} counts elements from the start of the storage. */
  public Tensor(Backend backend, Storage storage, long offset, DType dtype, Shape shape) {
    this.backend = backend;
    this.storage = storage;
    this.offset = offset;
    this.dtype = dtype;
    this.shape = shape;
  }

  /** Uploads f32 values. */
  public static Tensor of(Backend backend, Shape shape, float... values) {
    check(
        shape.size() == values.length,
        "Tensor.of",
        "%d values do not fill %s",
        values.length,
        shape);
    ByteBuffer bytes = ByteBuffer.allocateDirect(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return backend.upload(bytes, DType.F32, shape);
  }

  public static Tensor zeros(Backend backend, DType dtype, Shape shape) {
    return backend.zeros(dtype, shape);
  }

  public Backend backend() {
    return backend;
  }

  /** The memory behind this tensor. @throws LongAlignException if its scope has been closed */
  public Storage storage() {
    if (!storage.isAlive()) {
      throw new LongAlignException(
          "a tensor "
              + this
              + " was used after its TensorScope was closed; keep() it in an outer scope");
    }
    return storage;
  }

  /** Elements from the start of the storage to the first of this tensor. */
  public long offset() {
    return offset;
  }

  public DType dtype() {
    return dtype;
  }

  public Shape shape() {
    return shape;
  }

  /** Shorthand for {@code shape().intDim(axis)}. */
  public int dim(int axis) {
    return shape.intDim(axis);
  }

  /** All elements as f32, in order. */
  public float[] toFloats() {
    float[] values = new float[Math.toIntExact(shape.size())];
    backend.download(this, values);
    return values;
  }

  public Tensor cast(DType to) {
    return dtype == to ? this : backend.cast(this, to);
  }

  // ---- matrix products and convolutions

  public Tensor linear(LinearWeight weight) {
    return linear(weight, Epilogue.NONE);
  }

  /** {@code [..., in] -> [..., out]}. */
  public Tensor linear(LinearWeight weight, Epilogue epilogue) {
    checkFeatures("linear", weight);
    checkEpilogue("linear", epilogue, shape.with(-1, weight.outFeatures()));
    return backend.linear(this, weight, epilogue);
  }

  /** {@link #linear} by each weight, in their order: {@code [..., in] -> [..., out]} each. */
  public Tensor[] linears(LinearWeight... weights) {
    for (LinearWeight weight : weights) {
      checkFeatures("linears", weight);
    }
    return backend.linears(this, weights);
  }

  /** {@code hidden * gelu(gate)}: {@code [..., in] -> [..., inner]}. */
  public Tensor geglu(LinearWeight packedGeglu) {
    checkFeatures("geglu", packedGeglu);
    return backend.geglu(this, packedGeglu);
  }

  public Tensor conv2d(Conv2dWeight weight) {
    return conv2d(weight, Epilogue.NONE);
  }

  /** {@code [B, H, W, in] -> [B, H', W', out]}. */
  public Tensor conv2d(Conv2dWeight weight, Epilogue epilogue) {
    Conv2dGeometry g = weight.geometry();
    checkConv2d("conv2d", shape, weight);
    checkEpilogue(
        "conv2d",
        epilogue,
        Shape.of(dim(0), g.outHeight(dim(1)), g.outWidth(dim(2)), g.outChannels()));
    return backend.conv2d(this, weight, epilogue);
  }

  /** An input of a convolution. */
  private void checkConv2d(String op, Shape in, Conv2dWeight weight) {
    Conv2dGeometry g = weight.geometry();
    check(
        in.rank() == 4 && in.dim(3) == g.inChannels(),
        op,
        "input %s, expected [B, H, W, %d]",
        in,
        g.inChannels());
    check(
        dtype == weight.dtype(),
        op,
        "input is %s, the weight computes in %s",
        dtype,
        weight.dtype());
    checkAlive(op, weight, g.weightShape());
    check(
        in.dim(1) + g.padTop() + g.padBottom() >= g.kernelHeight()
            && in.dim(2) + g.padLeft() + g.padRight() >= g.kernelWidth(),
        op,
        "input %s is smaller than the kernel of %s",
        in,
        g);
  }

  /** {@code this b}, or {@code this b^T}; equal leading axes. */
  public Tensor matmul(Tensor b, boolean transposeB) {
    int rank = shape.rank();
    check(rank >= 2 && b.shape.rank() == rank && b.dtype == dtype, "matmul", "%s x %s", this, b);
    for (int i = 0; i < rank - 2; i++) {
      check(
          shape.dim(i) == b.shape.dim(i), "matmul", "leading axes differ: %s x %s", shape, b.shape);
    }
    check(
        shape.dim(-1) == b.shape.dim(transposeB ? -1 : -2),
        "matmul",
        "inner dimensions differ: %s x %s%s",
        shape,
        b.shape,
        transposeB ? "^T" : "");
    return backend.matmul(this, b, transposeB);
  }

  /**
   * {@code softmax(scale q k^T) v} per head, with this as q: {@code [B, L, H*d] x [B, S, H*d] ->
   * [B, L, H*d]}.
   */
  public Tensor attention(Tensor k, Tensor v, int heads, float scale) {
    checkAttention("attention", k, v, heads);
    return backend.attention(this, k, v, heads, scale);
  }

  // ---- normalisation and pointwise

  /** Group normalisation over the channels of [B, ..., C], then the activation. */
  public Tensor groupNorm(int groups, Tensor gamma, Tensor beta, float eps, Activation activation) {
    check(
        shape.rank() >= 2 && groups > 0 && shape.dim(-1) % groups == 0,
        "groupNorm",
        "%s does not divide into %d groups",
        shape,
        groups);
    checkAffine("groupNorm", gamma, beta);
    return backend.groupNorm(this, groups, gamma, beta, eps, activation);
  }

  /** Normalisation over the last axis. */
  public Tensor layerNorm(Tensor gamma, Tensor beta, float eps) {
    checkAffine("layerNorm", gamma, beta);
    return backend.layerNorm(this, gamma, beta, eps);
  }

  public Tensor activation(Activation activation) {
    return activation == Activation.NONE ? this : backend.activation(this, activation);
  }

  /** {@code x[..., :n] * gelu(x[..., n:])}: {@code [..., 2n] -> [..., n]}. */
  public Tensor gatedGelu() {
    check(
        shape.rank() >= 1 && shape.dim(-1) % 2 == 0,
        "gatedGelu",
        "the last axis of %s is odd",
        shape);
    return backend.gatedGelu(this);
  }

  public Tensor add(Tensor other) {
    return linearCombination(new float[] {1, 1}, this, other);
  }

  public Tensor scale(float factor) {
    return linearCombination(new float[] {factor}, this);
  }

  /** {@code sum_i coefficients[i] * xs[i]}, all of one shape and type. */
  public static Tensor linearCombination(float[] coefficients, Tensor... xs) {
    check(
        xs.length > 0 && coefficients.length == xs.length,
        "linearCombination",
        "%d coefficients for %d tensors",
        coefficients.length,
        xs.length);
    for (Tensor x : xs) {
      check(
          x.shape.equals(xs[0].shape) && x.dtype == xs[0].dtype,
          "linearCombination",
          "%s does not go with %s",
          x,
          xs[0]);
    }
    return xs[0].backend.linearCombination(coefficients, xs);
  }

  public Tensor clamp(float low, float high) {
    check(low <= high, "clamp", "[%s, %s] is empty", low, high);
    return backend.clamp(this, low, high);
  }

  // ---- shape

  /** A view under another shape of equal size. */
  public Tensor reshape(long... dims) {
    Shape to = Shape.of(dims);
    check(to.size() == shape.size(), "reshape", "%s has not the size of %s", to, shape);
    return backend.reshape(this, to);
  }

  /** A view of {@code [from, to)} along the first axis. */
  public Tensor rows(long from, long to) {
    check(
        shape.rank() >= 1 && 0 <= from && from <= to && to <= shape.dim(0),
        "rows",
        "[%d, %d) of %s",
        from,
        to,
        shape);
    return backend.rows(this, from, to);
  }

  /** Joins tensors that agree on every other axis; a negative axis counts from the end. */
  public static Tensor concat(int axis, Tensor... xs) {
    check(xs.length > 0, "concat", "nothing to join");
    int at = axis < 0 ? xs[0].shape.rank() + axis : axis;
    for (Tensor x : xs) {
      check(
          x.dtype == xs[0].dtype
              && x.shape.rank() == xs[0].shape.rank()
              && x.shape.with(at, 0).equals(xs[0].shape.with(at, 0)),
          "concat",
          "%s does not go with %s along axis %d",
          x,
          xs[0],
          at);
    }
    return xs.length == 1 ? xs[0] : xs[0].backend.concat(at, xs);
  }

  /** Nearest-neighbour resize of [B, H, W, C]: source index = floor(i * in / out). */
  public Tensor upsampleNearest(int height, int width) {
    check(
        shape.rank() == 4 && height > 0 && width > 0,
        "upsampleNearest",
        "%s to %d x %d",
        shape,
        height,
        width);
    return backend.upsampleNearest(this, height, width);
  }

  /** See {@link Backend#upsampleConv2d}: {@code [B, H, W, in] -> [B, H', W', out]}. */
  public Tensor upsampleConv2d(int height, int width, Conv2dWeight weight) {
    check(
        shape.rank() == 4 && height > 0 && width > 0,
        "upsampleConv2d",
        "%s to %d x %d",
        shape,
        height,
        width);
    checkConv2d("upsampleConv2d", shape.with(1, height).with(2, width), weight);
    return backend.upsampleConv2d(this, height, width, weight);
  }

  /** See {@link Backend#segmentConcat}; this is the encoded segments [S, L, D]. */
  public Tensor segmentConcat(
      int[][] ids,
      int[] segmentsPerCaption,
      int eosId,
      int padId,
      Tensor padEmbedding,
      int tokenLength) {
    check(
        shape.rank() == 3 && ids.length == dim(0),
        "segmentConcat",
        "%s does not go with %d rows of ids",
        shape,
        ids.length);
    for (int[] row : ids) {
      check(
          row.length == dim(1),
          "segmentConcat",
          "%s does not go with %d ids in a row",
          shape,
          row.length);
    }
    int segments = 0;
    for (int n : segmentsPerCaption) {
      segments += n;
    }
    check(
        segments == ids.length,
        "segmentConcat",
        "captions have %d segments in all, %d are encoded",
        segments,
        ids.length);
    check(
        padEmbedding.shape.size() == dim(2) && padEmbedding.dtype == dtype,
        "segmentConcat",
        "pad embedding %s for %s",
        padEmbedding,
        this);
    check(tokenLength > 0, "segmentConcat", "token length %d", tokenLength);
    return backend.segmentConcat(
        this, ids, segmentsPerCaption, eosId, padId, padEmbedding, tokenLength);
  }

  /**
   * See {@link Backend#reweight}; this is the texts T [N, D].
   *
   * @param direction V, f32 [D], or null for that of these texts
   */
  public ReweightedTexts reweight(Tensor direction, float omega) {
    check(shape.rank() == 2 && shape.size() > 0, "reweight", "texts %s, expected [N, D]", shape);
    check(
        direction == null
            || (direction.dtype == DType.F32 && direction.shape.equals(Shape.of(shape.dim(1)))),
        "reweight",
        "direction %s for texts %s, expected F32 [%d]",
        direction,
        shape,
        shape.dim(1));
    check(omega >= 0 && omega <= 1, "reweight", "omega = %s, expected [0, 1]", omega);
    return backend.reweight(this, direction, omega);
  }

  /** See {@link Backend#preferenceGradient}; this is the texts T' [N, D], one a picture. */
  public PreferenceGradient preferenceGradient(Tensor images) {
    check(
        shape.rank() == 2
            && shape.dim(1) > 0
            && shape.equals(images.shape)
            && dtype == images.dtype,
        "preferenceGradient",
        "texts %s, images %s: expected one text [D] for each image [D], of one type",
        this,
        images);
    return backend.preferenceGradient(this, images);
  }

  // ---- training: see TrainingOps

  /**
   * {@code x weight^T + bias} with f32 parameters that are not packed: [out, in], [out] or null.
   */
  public Tensor linear(Tensor weight, Tensor bias) {
    check(
        shape.rank() >= 1
            && weight.shape.rank() == 2
            && shape.dim(-1) == weight.shape.dim(1)
            && weight.dtype == DType.F32,
        "linear",
        "inner dimensions or types differ: %s x %s",
        this,
        weight);
    check(
        bias == null || (bias.dtype == DType.F32 && bias.shape.size() == weight.shape.dim(0)),
        "linear",
        "bias %s for a weight %s",
        bias,
        weight);
    return weight.backend.training().linear(this, weight, bias);
  }

  /** A convolution with an f32 weight [out, in, kh, kw] that is not packed; no bias. */
  public Tensor conv2d(Tensor weight, Conv2dGeometry geometry) {
    check(
        weight.shape.equals(geometry.weightShape()) && weight.dtype == DType.F32,
        "conv2d",
        "weight %s, expected F32 %s",
        weight,
        geometry.weightShape());
    check(
        shape.rank() == 4
            && dim(3) == geometry.inChannels()
            && dim(1) + geometry.padTop() + geometry.padBottom() >= geometry.kernelHeight()
            && dim(2) + geometry.padLeft() + geometry.padRight() >= geometry.kernelWidth(),
        "conv2d",
        "input %s does not go with %s",
        shape,
        geometry);
    return weight.backend.training().conv2d(this, weight, geometry);
  }

  /**
   * Attention of a sequence to itself, with this as q: a position sees itself and those before it.
   * All [B, L, H*d].
   */
  public Tensor causalAttention(Tensor k, Tensor v, int heads, float scale) {
    checkAttention("causalAttention", k, v, heads);
    check(dim(1) == k.dim(1), "causalAttention", "q %s, k %s: two sequences", shape, k.shape);
    return backend.training().causalAttention(this, k, v, heads, scale);
  }

  /** {@code this * other}, element by element. */
  public Tensor multiply(Tensor other) {
    check(shape.equals(other.shape) && dtype == other.dtype, "multiply", "%s * %s", this, other);
    return backend.training().multiply(this, other);
  }

  /** See {@link TrainingOps#dropout}; 0 <= p < 1. */
  public Tensor dropout(float p, long key) {
    check(p >= 0 && p < 1, "dropout", "p = %s, expected [0, 1)", p);
    return p == 0 ? this : backend.training().dropout(this, p, key);
  }

  /** {@code sqrt(x^2 + c^2) - c}; c > 0. */
  public Tensor pseudoHuber(float c) {
    check(c > 0, "pseudoHuber", "c = %s, expected a positive number", c);
    return backend.training().pseudoHuber(this, c);
  }

  /** {@code x / |x|} along the last axis. */
  public Tensor normalizeRows() {
    check(shape.rank() >= 1 && shape.dim(-1) > 0, "normalizeRows", "%s has no rows", shape);
    return backend.training().normalizeRows(this);
  }

  /** {@code exp(logScale) this}; logScale is an f32 scalar. */
  public Tensor scaleExp(Tensor logScale) {
    check(
        logScale.shape.size() == 1 && logScale.dtype == DType.F32,
        "scaleExp",
        "expected an F32 scalar, found %s",
        logScale);
    return backend.training().scaleExp(this, logScale);
  }

  /** A copy of the rows of these numbers along the first axis; a row may be taken often. */
  public Tensor gatherRows(int... rows) {
    check(shape.rank() >= 1, "gatherRows", "%s has no rows", shape);
    for (int row : rows) {
      check(row >= 0 && row < shape.dim(0), "gatherRows", "row %d of %s", row, shape);
    }
    return backend.training().gatherRows(this, rows.clone());
  }

  /** A copy of {@code [from, to)} along an axis; a negative axis counts from the end. */
  public Tensor slice(int axis, long from, long to) {
    int at = axis < 0 ? shape.rank() + axis : axis;
    check(
        at >= 0 && at < shape.rank() && 0 <= from && from <= to && to <= shape.dim(at),
        "slice",
        "[%d, %d) of axis %d of %s",
        from,
        to,
        axis,
        shape);
    return backend.training().slice(this, at, from, to);
  }

  /** The sum of all elements: an f32 scalar. */
  public Tensor sum() {
    return backend.training().sum(this);
  }

  /** {@code log(sum(exp(this)))} along the last axis: {@code [..., C] -> [...]} in f32. */
  public Tensor logSumExp() {
    check(shape.rank() >= 1 && shape.dim(-1) > 0, "logSumExp", "%s has no rows", shape);
    return backend.training().logSumExp(this);
  }

  /** The mean of all elements: an f32 scalar. */
  public Tensor mean() {
    check(shape.size() > 0, "mean", "%s has no elements", shape);
    return sum().scale(1f / shape.size());
  }

  /** {@code mean((this - target)^2)}: an f32 scalar. */
  public Tensor meanSquaredError(Tensor target) {
    Tensor difference = linearCombination(new float[] {1, -1}, this, target);
    return difference.multiply(difference).mean();
  }

  /** Dot products of rows: {@code [..., C] . [..., C] -> [...]} in f32. */
  public Tensor rowDots(Tensor other) {
    check(
        shape.rank() >= 1 && shape.equals(other.shape) && dtype == other.dtype,
        "rowDots",
        "%s . %s",
        this,
        other);
    return backend.training().rowDots(this, other);
  }

  /** The cosine between rows: {@code [..., C], [..., C] -> [...]} in f32. */
  public Tensor cosine(Tensor other) {
    return normalizeRows().rowDots(other.normalizeRows());
  }

  // ---- checks

  private void checkFeatures(String op, LinearWeight weight) {
    check(
        shape.rank() >= 1 && shape.dim(-1) == weight.inFeatures(),
        op,
        "inner dimensions differ: %s x [%d, %d]",
        shape,
        weight.inFeatures(),
        weight.outFeatures());
    check(
        dtype == weight.dtype(),
        op,
        "input is %s, the weight computes in %s",
        dtype,
        weight.dtype());
    checkAlive(op, weight, Shape.of(weight.outFeatures(), weight.inFeatures()));
  }

  private static void checkAlive(String op, ScopedResource weight, Shape shape) {
    check(
        weight.isAlive(),
        op,
        "the weight %s was used after its TensorScope was closed; adopt() it in another",
        shape);
  }

  private void checkEpilogue(String op, Epilogue epilogue, Shape result) {
    Tensor residual = epilogue.residual();
    check(
        residual == null || (residual.shape.equals(result) && residual.dtype == dtype),
        op,
        "residual %s, expected %s %s",
        residual,
        dtype,
        result);
    Tensor channelBias = epilogue.channelBias();
    check(
        channelBias == null
            || (channelBias.dtype == dtype
                && channelBias.shape.equals(Shape.of(result.dim(0), result.dim(-1)))),
        op,
        "channel bias %s for a result %s %s",
        channelBias,
        dtype,
        result);
  }

  private void checkAttention(String op, Tensor k, Tensor v, int heads) {
    check(
        shape.rank() == 3 && k.shape.rank() == 3 && k.shape.equals(v.shape),
        op,
        "q %s, k %s, v %s",
        shape,
        k.shape,
        v.shape);
    check(
        dim(0) == k.dim(0) && dim(2) == k.dim(2), op, "q %s does not go with k %s", shape, k.shape);
    check(
        heads > 0 && dim(2) % heads == 0,
        op,
        "%d channels do not divide into %d heads",
        dim(2),
        heads);
    check(
        dtype == k.dtype && dtype == v.dtype,
        op,
        "types differ: %s, %s, %s",
        dtype,
        k.dtype,
        v.dtype);
  }

  private void checkAffine(String op, Tensor gamma, Tensor beta) {
    check(
        gamma.dtype == DType.F32
            && beta.dtype == DType.F32
            && gamma.shape.size() == shape.dim(-1)
            && beta.shape.size() == shape.dim(-1),
        op,
        "scale %s and shift %s for %s",
        gamma,
        beta,
        this);
  }

  private static void check(boolean condition, String op, String format, Object... arguments) {
    if (!condition) {
      throw new LongAlignException(op + ": " + String.format(Locale.ROOT, format, arguments));
    }
  }

  /** Type and shape, for example {@code F32 [2, 64, 64, 320]}. */
  @Override
  public String toString() {
    return dtype + " " + shape;
  }
}
