package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.aligned;
import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import jcuda.driver.CUevent;

/** Matrix products and convolutions: one kernel, which gathers its left operand in two ways. */
final class ProductOps {
  private static final int MEASURED_RUNS = 4;

  /**
   * Of a slow tile, so that the device still works on them when everything measured is enqueued.
   */
  private static final int BUSY_RUNS = 12;

  private static final int PITCH_UNIT = 8;

  /** Threads for a large tile of 16-bit types in product_bwd_mma: a warp has 64 x 32 of it. */
  private static final int BACKWARD_THREADS = 256;

  private final CudaContext context;
  private final Transfers transfers;
  private final Cublas cublas;
  private final TileChoices choices;

  /**
   * @param cublas may be null
   */
  ProductOps(CudaContext context, Transfers transfers, Cublas cublas) {
    this.context = context;
    this.transfers = transfers;
    this.cublas = cublas;
    this.choices = TileChoices.of(context.device());
  }

  // ---- weights

  LinearWeight pack(Tensor weight, Tensor bias, DType dtype, boolean gated) {
    String op = gated ? "packGeglu" : "packLinear";
    Shape shape = weight.shape();
    if (shape.rank() != 2 || (gated && shape.dim(0) % 2 != 0)) {
      throw new LongAlignException(op + ": weight " + shape + ", expected [out, in]");
    }
    PackedMatrix matrix = pack(op, weight, bias, weight.dim(0), weight.dim(1), 1, gated, dtype);
    int out = gated ? weight.dim(0) / 2 : weight.dim(0);
    return TensorScope.register(new PackedLinear(matrix, weight.dim(1), out, dtype));
  }

  Conv2dWeight pack(Tensor weight, Tensor bias, Conv2dGeometry g, DType dtype) {
    if (!weight.shape().equals(g.weightShape())) {
      throw new LongAlignException(
          "packConv2d: weight " + weight.shape() + ", expected " + g.weightShape());
    }
    int taps = g.kernelHeight() * g.kernelWidth();
    PackedMatrix matrix =
        pack("packConv2d", weight, bias, g.outChannels(), g.inChannels(), taps, false, dtype);
    return TensorScope.register(new PackedConv2d(matrix, g, dtype));
  }

  /** In one block, so that they are as far apart from each other as a batch's matrices. */
  void placeTogether(LinearWeight... weights) {
    PackedMatrix[] matrices = matrices(weights);
    DType dtype = weights[0].dtype();
    boolean oneType = Arrays.stream(weights).allMatch(weight -> weight.dtype() == dtype);
    if (!oneType || !PackedMatrix.areAlike(matrices)) {
      return;
    }
    long apart = (long) matrices[0].rows() * matrices[0].pitch() * dtype.bytes();
    long block =
        context
            .memory()
            .allocate(
                apart * matrices.length,
                CudaMemory.Kind.WEIGHTS,
                () -> matrices.length + " weights, " + dtype);
    for (int i = 0; i < matrices.length; i++) {
      transfers.copy(matrices[i].weights(), block + i * apart, apart);
    }
    PackedMatrix.move(matrices, block, apart);
  }

  private static PackedMatrix[] matrices(LinearWeight... weights) {
    return Arrays.stream(weights)
        .map(weight -> ((PackedLinear) weight).matrix())
        .toArray(PackedMatrix[]::new);
  }

  private PackedMatrix pack(
      String op,
      Tensor weight,
      Tensor bias,
      int rows,
      int channels,
      int taps,
      boolean gated,
      DType dtype) {
    if (bias != null && bias.shape().size() != rows) {
      throw new LongAlignException(op + ": bias " + bias.shape() + ", expected [" + rows + "]");
    }
    TensorScope.current(); // complain before anything is taken
    int columns = Math.multiplyExact(channels, taps);
    int pitch = pitch(columns);
    long weights = packed(weight, rows, channels, taps, pitch, gated, dtype);
    try {
      long biases = bias == null ? 0 : packed(bias, rows, 1, 1, 1, gated, DType.F32);
      return new PackedMatrix(context.memory(), weights, biases, rows, columns, pitch, gated);
    } catch (LongAlignException e) {
      context.memory().free(weights);
      throw e;
    }
  }

  private long packed(
      Tensor x, int rows, int channels, int taps, int pitch, boolean gated, DType dtype) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor source = x.cast(DType.F32);
      long address =
          context
              .memory()
              .allocate(
                  (long) rows * pitch * dtype.bytes(),
                  CudaMemory.Kind.WEIGHTS,
                  () -> "a weight, " + dtype + " [" + rows + ", " + pitch + "]");
      context
          .launch("packWeight_fwd" + suffix(dtype))
          .over((long) rows * pitch)
          .address(context.address(source))
          .address(address)
          .i32(rows)
          .i32(channels)
          .i32(taps)
          .i32(pitch)
          .flag(gated)
          .run();
      return address;
    }
  }

  private static int pitch(int columns) {
    return (columns + PITCH_UNIT - 1) / PITCH_UNIT * PITCH_UNIT;
  }

  // ---- products

  Tensor linear(Tensor x, LinearWeight weight, Epilogue epilogue) {
    PackedMatrix w = ((PackedLinear) weight).matrix();
    Tensor y = context.allocate(x.dtype(), x.shape().with(-1, weight.outFeatures()));
    int rows = rows(x);
    boolean finished = w.bias() != 0 || w.gated() || !epilogue.equals(Epilogue.NONE);
    Cublas.Shape shape = shape(x.dtype(), rows, w.rows(), w.columns(), 1, true, finished);
    run(
        y,
        shape,
        () -> run(x, w, y, rows, plain(rows, w.columns()), epilogue, "linear_fwd"),
        () -> onCublas(shape, x, w, y, rows, epilogue));
    return y;
  }

  /** One product where the weights were placed together, else several. */
  Tensor[] linears(Tensor x, LinearWeight... weights) {
    PackedMatrix[] matrices = matrices(weights);
    int count = weights.length;
    long apart = PackedMatrix.apart(matrices) / x.dtype().bytes();
    if (apart == 0 || cublas != null || x.shape().rank() == 1 || x.shape().size() == 0) {
      return Arrays.stream(weights)
          .map(weight -> linear(x, weight, Epilogue.NONE))
          .toArray(Tensor[]::new);
    }
    PackedMatrix w = matrices[0];
    int leading = x.dim(0);
    Shape shape = x.shape().with(-1, weights[0].outFeatures());
    Tensor y = context.allocate(x.dtype(), shape.with(0, (long) count * leading));
    long from = context.address(x);
    int m = rows(x);
    boolean wide = wide(x.dtype(), w.columns(), from);
    Problem problem =
        new Problem(
            "linear_fwd",
            x.dtype(),
            m,
            w.rows(),
            w.columns(),
            count,
            x.shape().size(),
            wide,
            false);
    multiply(problem, from, w.weights(), w.pitch(), y, 0, apart);
    Tensor[] results = new Tensor[count];
    for (int i = 0; i < count; i++) {
      results[i] = y.rows((long) i * leading, (long) (i + 1) * leading);
    }
    return results;
  }

  private static Cublas.Shape shape(
      DType dtype, int m, int n, int k, int batch, boolean transposeB, boolean finished) {
    OperationLog.Product product = new OperationLog.Product((long) m * batch, k, n, dtype);
    return new Cublas.Shape(product, batch, transposeB, finished);
  }

  /** Computes y by one of two ways. */
  private void run(Tensor y, Cublas.Shape shape, Runnable own, Runnable onCublas) {
    if (y.shape().size() == 0) {
      return;
    }
    if (cublas != null && cublas.prefer(shape, own, onCublas)) {
      context.log().ran(shape.product());
      onCublas.run();
    } else {
      own.run();
    }
  }

  /** What follows the sums is a kernel of its own; sums stay in f32 until then. */
  private void onCublas(
      Cublas.Shape shape, Tensor x, PackedMatrix w, Tensor y, int rows, Epilogue epilogue) {
    long from = context.address(x);
    if (!shape.finished()) {
      cublas.multiply(shape, from, w.weights(), w.pitch(), context.address(y), y.dtype());
      return;
    }
    long sums = context.memory().allocate((long) Float.BYTES * rows * w.rows());
    cublas.multiply(shape, from, w.weights(), w.pitch(), sums, DType.F32);
    finish(y.dtype(), sums, 1, rows, w.rows(), finish(w, y, rows, epilogue));
    context.memory().free(sums);
  }

  Tensor conv2d(Tensor x, Conv2dWeight weight, Epilogue epilogue) {
    return conv2d(x, x.dim(1), x.dim(2), weight, epilogue, "conv2d_fwd");
  }

  /** Of the picture at twice its size, which is not made. */
  Tensor doubledConv2d(Tensor x, Conv2dWeight weight) {
    return conv2d(x, 2 * x.dim(1), 2 * x.dim(2), weight, Epilogue.NONE, "conv2dDoubled_fwd");
  }

  private Tensor conv2d(
      Tensor x, int from, int across, Conv2dWeight weight, Epilogue epilogue, String kernel) {
    Conv2dGeometry g = weight.geometry();
    int height = g.outHeight(from);
    int width = g.outWidth(across);
    Tensor y = context.allocate(x.dtype(), Shape.of(x.dim(0), height, width, g.outChannels()));
    ByteBuffer geometry =
        struct(
            from,
            across,
            g.inChannels(),
            height,
            width,
            g.kernelWidth(),
            g.kernelHeight() * g.kernelWidth(),
            g.stride(),
            g.padTop(),
            g.padLeft());
    run(x, ((PackedConv2d) weight).matrix(), y, rows(y), geometry, epilogue, kernel);
    return y;
  }

  private void run(
      Tensor x,
      PackedMatrix w,
      Tensor y,
      int rows,
      ByteBuffer geometry,
      Epilogue epilogue,
      String kernel) {
    if (y.shape().size() == 0) {
      return;
    }
    long from = context.address(x);
    boolean wide = wide(x.dtype(), x.dim(-1), from);
    Problem problem =
        new Problem(
            kernel, x.dtype(), rows, w.rows(), w.columns(), 1, x.shape().size(), wide, true);
    Finish finish = finish(w, y, rows, epilogue);
    run(problem, tile -> product(problem, tile, from, w, geometry, finish));
  }

  /** What the kernels' {@code struct Finish} has, but for the sizes. */
  private record Finish(
      long bias,
      long channelBias,
      long residual,
      long y,
      int rowsPerBatch,
      int activation,
      boolean gated) {}

  private Finish finish(PackedMatrix w, Tensor y, int rows, Epilogue epilogue) {
    return new Finish(
        w.bias(),
        addressOrNull(epilogue.channelBias()),
        addressOrNull(epilogue.residual()),
        context.address(y),
        Math.max(1, rows / y.dim(0)),
        epilogue.activation().ordinal(),
        w.gated());
  }

  private void product(
      Problem p, ProductTile tile, long x, PackedMatrix w, ByteBuffer geometry, Finish f) {
    if (tile.parts() > 1) {
      inParts(p, tile, x, w, geometry, f);
      return;
    }
    launch(p, tile, p.kernel)
        .address(x)
        .address(w.weights())
        .address(f.bias)
        .address(f.channelBias)
        .address(f.residual)
        .address(f.y)
        .i32(p.m)
        .i32(p.n)
        .i32(p.k)
        .i32(w.pitch())
        .i32(f.rowsPerBatch)
        .i32(f.activation)
        .flag(f.gated)
        .struct(geometry)
        .flag(p.wide)
        .i64(0)
        .i64(0)
        .i64(0)
        .run();
  }

  /** Sums of the parts first; what adds them up also does what follows. */
  private void inParts(
      Problem p, ProductTile tile, long x, PackedMatrix w, ByteBuffer geometry, Finish f) {
    long sums = context.memory().allocate((long) Float.BYTES * tile.parts() * p.m * p.n);
    launch(p, tile, p.kernel.replace("_fwd", "Part_fwd"))
        .address(x)
        .address(w.weights())
        .address(sums)
        .i32(p.m)
        .i32(p.n)
        .i32(p.k)
        .i32(w.pitch())
        .struct(geometry)
        .run();
    finish(p.dtype, sums, tile.parts(), p.m, p.n, f);
    context.memory().free(sums);
  }

  private void finish(DType dtype, long sums, int parts, int m, int n, Finish f) {
    context
        .launch("finish_fwd" + suffix(dtype))
        .over((long) m * ((n + 7) / 8))
        .address(sums)
        .i32(parts)
        .address(f.bias)
        .address(f.channelBias)
        .address(f.residual)
        .address(f.y)
        .i32(m)
        .i32(n)
        .i32(f.rowsPerBatch)
        .i32(f.activation)
        .flag(f.gated)
        .run();
  }

  private long addressOrNull(Tensor x) {
    return x == null ? 0 : context.address(x);
  }

  Tensor matmul(Tensor a, Tensor b, boolean transposeB) {
    int m = a.dim(-2);
    int k = a.dim(-1);
    int n = b.dim(transposeB ? -2 : -1);
    Tensor y = context.allocate(a.dtype(), a.shape().with(-1, n));
    if (y.shape().size() == 0) {
      return y;
    }
    int batch = Math.toIntExact(y.shape().size() / ((long) m * n));
    Cublas.Shape shape = shape(a.dtype(), m, n, k, batch, transposeB, false);
    run(
        y,
        shape,
        () -> matmul(a, b, transposeB, y, m, n, k, batch),
        () ->
            cublas.multiply(
                shape,
                context.address(a),
                context.address(b),
                transposeB ? k : n,
                context.address(y),
                y.dtype()));
    return y;
  }

  private void matmul(
      Tensor a, Tensor b, boolean transposeB, Tensor y, int m, int n, int k, int batch) {
    DType dtype = a.dtype();
    long right = context.address(b);
    int pitch = pitch(k);
    boolean direct = transposeB && pitch == k && aligned(right);
    long weights = direct ? right : transposed(b, right, transposeB, batch, k, n, pitch);
    long from = context.address(a);
    Problem problem =
        new Problem(
            "linear_fwd", dtype, m, n, k, batch, a.shape().size(), wide(dtype, k, from), false);
    multiply(problem, from, weights, pitch, y, (long) m * k, (long) n * pitch);
    if (!direct) {
      context.memory().free(weights);
    }
  }

  /** A batch of products: x and weights are so many elements apart from each other. */
  private void multiply(
      Problem p, long x, long weights, int pitch, Tensor y, long xApart, long weightsApart) {
    run(
        p,
        tile ->
            launch(p, tile, p.kernel)
                .address(x)
                .address(weights)
                .address(0)
                .address(0)
                .address(0)
                .address(context.address(y))
                .i32(p.m)
                .i32(p.n)
                .i32(p.k)
                .i32(pitch)
                .i32(p.m)
                .i32(0)
                .flag(false)
                .struct(plain(p.m, p.k))
                .flag(p.wide)
                .i64(xApart)
                .i64(weightsApart)
                .i64((long) p.m * p.n)
                .run());
  }

  /** b as rows of k elements, {@code pitch} apart: what the kernels take for a weight. */
  private long transposed(
      Tensor b, long from, boolean transposeB, int batch, int k, int n, int pitch) {
    long elements = (long) batch * n * pitch;
    long address = context.memory().allocate(elements * b.dtype().bytes());
    if (pitch != k) {
      transfers.zero(address, elements * b.dtype().bytes());
    }
    String suffix = CudaContext.moveSuffix(b.dtype());
    if (transposeB) {
      context
          .launch("copyRows_fwd" + suffix)
          .over((long) batch * n * k)
          .address(from)
          .address(address)
          .i64((long) batch * n)
          .i64(k)
          .i64(k)
          .i64(pitch)
          .flag(wide(b.dtype(), k, from))
          .run();
    } else {
      context
          .launch("transpose_fwd" + suffix)
          .grid((n + 31) / 32, (k + 31) / 32, batch)
          .shared(32 * 33 * b.dtype().bytes())
          .address(from)
          .address(address)
          .i32(k)
          .i32(n)
          .i32(pitch)
          .run();
    }
    return address;
  }

  /**
   * A product [m, k] x [k, n], {@code batch} times.
   *
   * @param kernel the beginning of its name
   * @param elements of x
   * @param wide whether rows of x can be read 16 bytes at a time
   * @param divisible whether K may be cut into parts
   */
  private record Problem(
      String kernel,
      DType dtype,
      int m,
      int n,
      int k,
      int batch,
      long elements,
      boolean wide,
      boolean divisible) {
    String name() {
      return (divisible ? kernel : "matmul")
          + suffix(dtype)
          + " "
          + m
          + "x"
          + n
          + "x"
          + k
          + "x"
          + batch;
    }
  }

  /** Computes a product with the tile that was measured, else the likely one. */
  private void run(Problem p, Consumer<ProductTile> product) {
    context.log().ran(new OperationLog.Product((long) p.m * p.batch, p.k, p.n, p.dtype));
    ProductTile tile = choices.matter() ? choices.get(p.name()) : null;
    if (tile != null && tile.family() == ProductTile.Family.HOPPER && !onHopper(p)) {
      tile = null; // measured for x at another address
    }
    if (tile == null && choices.measuring() && !context.log().isRecording()) {
      Runnable busy = () -> product.accept(ProductTile.SMALL);
      tile = choices.measure(p.name(), candidates(p), t -> seconds(() -> product.accept(t), busy));
    }
    product.accept(tile == null ? likely(p) : tile);
  }

  /** Those kernels count x in eights, in 32 bits. */
  private boolean onHopper(Problem p) {
    return context.device().isHopper()
        && p.dtype != DType.F32
        && p.wide
        && p.elements / 8 <= Integer.MAX_VALUE;
  }

  private List<ProductTile> candidates(Problem p) {
    List<ProductTile> tiles = new ArrayList<>(List.of(ProductTile.LARGE, ProductTile.SMALL));
    if (onHopper(p)) {
      tiles.addAll(hopper(p));
    }
    return tiles;
  }

  private ProductTile likely(Problem p) {
    if (!onHopper(p)) {
      return ProductTile.portable(p.m, p.n, p.batch, multiprocessors());
    }
    return hopper(p).stream()
        .min(Comparator.comparingDouble(t -> t.cost(p.m, p.n, p.k, p.batch, multiprocessors())))
        .orElseThrow();
  }

  private List<ProductTile> hopper(Problem p) {
    return ProductTile.hopper(p.m, p.n, p.divisible ? p.k : 0, p.batch, multiprocessors());
  }

  private int multiprocessors() {
    return context.device().multiprocessors();
  }

  private double seconds(Runnable product, Runnable busy) {
    product.run(); // loads the kernel
    for (int run = 0; run < BUSY_RUNS; run++) {
      busy.run();
    }
    CUevent begin = context.log().record();
    for (int run = 0; run < MEASURED_RUNS; run++) {
      product.run();
    }
    CUevent end = context.log().record();
    context.device().synchronize();
    return context.log().seconds(begin, end) / MEASURED_RUNS;
  }

  private Launch launch(Problem p, ProductTile tile, String kernel) {
    return launch(kernel, p.dtype, tile, tile.threads(p.dtype), p.m, p.n, p.batch * tile.parts());
  }

  /** Of product_mma's kernel for the derivative of GEGLU, as the forward pass would compute it. */
  Launch gegluGradient(DType dtype, int m, int n, int k) {
    context.log().ran(new OperationLog.Product(m, k, n, dtype));
    ProductTile tile = ProductTile.portable(m, n, 1, multiprocessors());
    return launch("geglu_bwd", dtype, tile, tile.threads(dtype), m, n, 1);
  }

  /** Of the kernels of product_bwd. */
  Launch turned(String kernel, DType dtype, int m, int n, int batch) {
    return backward(
        kernel, dtype, ProductTile.portable(m, n, batch, multiprocessors()), m, n, batch);
  }

  /** For a sum in so many parts that even large tiles occupy the device. */
  Launch parts(String kernel, DType dtype, int m, int n, int count) {
    return backward(kernel, dtype, partTile(m, n), m, n, count);
  }

  /** What {@link #parts} needs for one part. */
  static long blocks(int m, int n) {
    return partTile(m, n).blocks(m, n, 1);
  }

  private static ProductTile partTile(int m, int n) {
    int small = ProductTile.SMALL.rows();
    return m > small && n > small ? ProductTile.LARGE : ProductTile.SMALL;
  }

  private Launch backward(String kernel, DType dtype, ProductTile tile, int m, int n, int batch) {
    boolean more = dtype != DType.F32 && tile.equals(ProductTile.LARGE);
    int threads = more ? BACKWARD_THREADS : tile.threads(dtype);
    return launch(kernel, dtype, tile, threads, m, n, batch);
  }

  private Launch launch(
      String kernel, DType dtype, ProductTile tile, int threads, int m, int n, int depth) {
    return context
        .launch(kernel + suffix(dtype) + "_" + tile.suffix())
        .grid(divideUp(m, tile.rows()), divideUp(n, tile.columns()), depth)
        .threads(threads)
        .shared(tile.shared(dtype));
  }

  private static int divideUp(int x, int by) {
    return (x + by - 1) / by;
  }

  /** All elements but the last axis. */
  static int rows(Tensor x) {
    return x.shape().size() == 0 ? 0 : Math.toIntExact(x.shape().size() / x.dim(-1));
  }

  /** A matrix as an image of one line and one tap. */
  static ByteBuffer plain(int rows, int columns) {
    return struct(1, rows, columns, 1, rows, 1, 1, 1, 0, 0);
  }

  /** Fields of {@code struct Geometry} of product.cuh, or of another that has only integers. */
  static ByteBuffer struct(int... fields) {
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(fields.length * Integer.BYTES).order(ByteOrder.nativeOrder());
    for (int field : fields) {
      bytes.putInt(field);
    }
    return bytes.flip();
  }

  /** With parameters that change: packed anew for every call, small beside x. */
  Tensor linear(Tensor x, Tensor weight, Tensor bias) {
    return linear(x, pack(weight, bias, x.dtype(), false), Epilogue.NONE);
  }

  Tensor conv2d(Tensor x, Tensor weight, Conv2dGeometry geometry) {
    return conv2d(x, pack(weight, null, geometry, x.dtype()), Epilogue.NONE);
  }
}
