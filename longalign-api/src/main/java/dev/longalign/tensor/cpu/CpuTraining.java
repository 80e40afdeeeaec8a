package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.AdamW;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Dropout;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.TrainingOps;
import java.util.List;
import java.util.function.Supplier;

/** What the CPU backend computes for training only. */
final class CpuTraining implements TrainingOps {
  /** Elements that a thread masks at a time: the mask stays in its core's cache. */
  private static final int MASKED = 1 << 15;

  private final CpuBackend backend;
  private final CpuContext context;
  private final MatrixOps matrix;
  private final ConvolutionOps convolution;
  private final AttentionOps attention;
  private final RowOps rows;
  private final CpuWorkers workers;

  CpuTraining(
      CpuBackend backend,
      CpuContext context,
      MatrixOps matrix,
      ConvolutionOps convolution,
      AttentionOps attention,
      CpuWorkers workers) {
    this.backend = backend;
    this.context = context;
    this.matrix = matrix;
    this.convolution = convolution;
    this.attention = attention;
    this.rows = new RowOps(context);
    this.workers = workers;
  }

  /** Runs an operation whose intermediate tensors die with it. */
  private Tensor run(String name, Supplier<Tensor> operation) {
    return backend.exclusively(
        name,
        () -> {
          try (TensorScope scope = TensorScope.open()) {
            return scope.keep(operation.get());
          }
        });
  }

  // The weight is packed anew for every call: it changes between steps, and is small beside x.

  @Override
  public Tensor linear(Tensor x, Tensor weight, Tensor bias) {
    return run(
        "linear",
        () -> matrix.linear(x, matrix.packForOnce(weight, bias, x.dtype()), Epilogue.NONE));
  }

  @Override
  public Tensor conv2d(Tensor x, Tensor weight, Conv2dGeometry g) {
    return run(
        "conv2d",
        () -> convolution.conv2d(x, convolution.pack(weight, null, g, x.dtype()), Epilogue.NONE));
  }

  @Override
  public Tensor causalAttention(Tensor q, Tensor k, Tensor v, int heads, float scale) {
    return run("causalAttention", () -> attention.attention(q, k, v, heads, scale, true));
  }

  @Override
  public Tensor multiply(Tensor a, Tensor b) {
    return run("multiply", () -> product(context, a, b));
  }

  /** {@code a * b}. */
  static Tensor product(CpuContext context, Tensor a, Tensor b) {
    Tensor y = context.allocateLike(a);
    long size = a.shape().size();
    if (size == 0) {
      return y;
    }
    DType dtype = a.dtype();
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("multiply", size, dtype),
                () -> {
                  try (Layout data = Layout.dense(dtype, size);
                      Attributes attributes = new Attributes()) {
                    return binary(dnnl_binary_mul, data, data, data, attributes);
                  }
                });
    primitive.execute(context.memory(), address(a), address(b), address(y));
    return y;
  }

  static Primitive binary(int kind, Layout a, Layout b, Layout y, Attributes attributes) {
    return Primitive.create(
        "binary operation",
        (pd, attr) ->
            dnnl_binary_primitive_desc_create(
                pd,
                OneDnn.ENGINE,
                kind,
                a.descriptor(),
                b.descriptor(),
                y.descriptor(),
                attr.build()),
        attributes,
        new int[] {DNNL_ARG_SRC_0, DNNL_ARG_SRC_1, DNNL_ARG_DST},
        a,
        b,
        y);
  }

  @Override
  public Tensor dropout(Tensor x, float p, long key) {
    return run(
        "dropout",
        () -> {
          Tensor y = context.allocateLike(x);
          long size = x.shape().size();
          CpuMemory memory = context.memory();
          int bytes = x.dtype().bytes();
          long room = (long) DType.F32.bytes() * MASKED;
          long masks = memory.allocate(workers.count() * room);
          try {
            workers.run(
                Math.toIntExact((size + MASKED - 1) / MASKED),
                (worker, part) -> {
                  long from = (long) part * MASKED;
                  int count = (int) Math.min(MASKED, size - from);
                  long mask = masks + worker.number() * room;
                  mask(key, from, p, count, mask);
                  masked(worker.cache(), count, x.dtype())
                      .execute(memory, address(x) + from * bytes, mask, address(y) + from * bytes);
                });
          } finally {
            memory.free(masks);
          }
          return y;
        });
  }

  private static void mask(long key, long from, float p, int count, long to) {
    for (int done = 0; done < count; done += HostLoops.CHUNK) {
      int[] factors = new int[Math.min(HostLoops.CHUNK, count - done)];
      Dropout.mask(key, from + done, p, factors);
      HostMemory.write(to + (long) DType.F32.bytes() * done, factors);
    }
  }

  /** {@code x * mask} with a mask in f32, which so is rounded once. */
  private static Primitive masked(PrimitiveCache cache, long size, DType dtype) {
    return cache.get(
        List.of("masked", size, dtype),
        () -> {
          try (Layout data = Layout.dense(dtype, size);
              Layout mask = Layout.dense(DType.F32, size);
              Attributes attributes = new Attributes()) {
            return binary(dnnl_binary_mul, data, mask, data, attributes);
          }
        });
  }

  @Override
  public Tensor pseudoHuber(Tensor x, float c) {
    return run("pseudoHuber", () -> map(x, v -> Math.sqrt(v * v + (double) c * c) - c));
  }

  /** A function of one element, in double precision. */
  interface Function {
    double of(double x);
  }

  private Tensor map(Tensor x, Function function) {
    float[] values = x.toFloats();
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) function.of(values[i]);
    }
    return of(context, values, x.dtype(), x.shape());
  }

  /** The values in another type; for what is small. */
  static Tensor of(CpuContext context, float[] values, DType dtype, Shape shape) {
    return Tensor.of(context.backend(), shape, values).cast(dtype);
  }

  @Override
  public Tensor normalizeRows(Tensor x) {
    return run(
        "normalizeRows",
        () -> {
          float[] values = x.toFloats();
          int width = x.dim(-1);
          for (int row = 0; row < values.length; row += width) {
            double norm = Math.sqrt(dot(values, values, row, width));
            for (int i = row; i < row + width; i++) {
              values[i] = (float) (values[i] / norm);
            }
          }
          return of(context, values, x.dtype(), x.shape());
        });
  }

  static double dot(float[] a, float[] b, int from, int count) {
    double sum = 0;
    for (int i = from; i < from + count; i++) {
      sum += (double) a[i] * b[i];
    }
    return sum;
  }

  @Override
  public Tensor scaleExp(Tensor x, Tensor logScale) {
    return run("scaleExp", () -> x.scale((float) Math.exp(logScale.toFloats()[0])));
  }

  @Override
  public Tensor gatherRows(Tensor x, int[] numbers) {
    return run("gatherRows", () -> rows.gather(x, numbers));
  }

  @Override
  public Tensor logSumExp(Tensor x) {
    return run("logSumExp", () -> rows.logSumExp(x));
  }

  @Override
  public Tensor slice(Tensor x, int axis, long from, long to) {
    return run(
        "slice",
        () -> {
          Tensor y = context.allocate(x.dtype(), x.shape().with(axis, to - from));
          if (y.shape().size() == 0) {
            return y;
          }
          long rows = 1;
          for (int i = 0; i < axis; i++) {
            rows *= x.shape().dim(i);
          }
          copyRows(
              x, x.shape().size() / rows, from * (y.shape().size() / rows / (to - from)), y, rows);
          return y;
        });
  }

  /** Copies a block of columns of the matrix x [rows, width], beginning at {@code column}, to y. */
  private void copyRows(Tensor x, long width, long column, Tensor y, long rows) {
    long columns = y.shape().size() / rows;
    DType dtype = x.dtype();
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("slice", rows, columns, width, dtype),
                () -> {
                  long[] dims = {rows, columns};
                  try (Layout source = Layout.strided(dtype, dims, new long[] {width, 1});
                      Layout target = Layout.dense(dtype, dims)) {
                    return PrimitiveCache.reorder(source, target);
                  }
                });
    primitive.execute(context.memory(), address(x) + column * dtype.bytes(), address(y));
  }

  @Override
  public Tensor sum(Tensor x) {
    return run(
        "sum",
        () -> {
          Tensor wide = x.cast(DType.F32);
          long at = address(wide);
          double sum =
              HostLoops.sum(
                  x.shape().size(),
                  (from, count) -> {
                    double part = 0;
                    for (float v : HostLoops.read(at, from, count)) {
                      part += v;
                    }
                    return part;
                  });
          return Tensor.of(backend, Shape.of(), (float) sum);
        });
  }

  @Override
  public Tensor rowDots(Tensor a, Tensor b) {
    return run(
        "rowDots",
        () -> {
          float[] left = a.toFloats();
          float[] right = b.toFloats();
          int width = a.dim(-1);
          long[] dims = a.shape().toArray();
          Shape shape = Shape.of(java.util.Arrays.copyOf(dims, dims.length - 1));
          float[] dots = new float[Math.toIntExact(shape.size())];
          for (int row = 0; row < dots.length; row++) {
            dots[row] = (float) dot(left, right, row * width, width);
          }
          return Tensor.of(backend, shape, dots);
        });
  }

  @Override
  public void accumulate(Tensor into, float factor, Tensor x) {
    long size = into.shape().size();
    if (size == 0) {
      return;
    }
    run(
        "accumulate",
        () -> {
          Tensor more = x.cast(into.dtype());
          if (factor != 1) {
            more = more.scale(factor);
          }
          add(into, more);
          return into;
        });
  }

  private void add(Tensor into, Tensor x) {
    long size = into.shape().size();
    DType dtype = into.dtype();
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("accumulate", size, dtype),
                () -> {
                  try (Layout data = Layout.dense(dtype, size);
                      Attributes attributes = new Attributes()) {
                    return binary(dnnl_binary_add, data, data, data, attributes);
                  }
                });
    primitive.execute(context.memory(), address(into), address(x), address(into));
  }

  @Override
  public void swap(Tensor a, Tensor b) {
    long toA = address(a);
    long toB = address(b);
    HostLoops.forEach(
        a.shape().size(),
        (from, count) -> {
          float[] values = HostLoops.read(toA, from, count);
          HostLoops.write(toA, from, HostLoops.read(toB, from, count));
          HostLoops.write(toB, from, values);
        });
  }

  @Override
  public void average(Tensor average, double decay, Tensor x) {
    long toAverage = address(average);
    long toX = address(x);
    float kept = (float) decay;
    float taken = (float) (1 - decay);
    HostLoops.forEach(
        x.shape().size(),
        (from, count) -> {
          float[] a = HostLoops.read(toAverage, from, count);
          float[] v = HostLoops.read(toX, from, count);
          for (int i = 0; i < count; i++) {
            a[i] = kept * a[i] + taken * v[i];
          }
          HostLoops.write(toAverage, from, a);
        });
  }

  @Override
  public double sumOfSquares(Tensor x) {
    long at = address(x);
    return HostLoops.sum(
        x.shape().size(),
        (from, count) -> {
          float[] values = HostLoops.read(at, from, count);
          return dot(values, values, 0, count);
        });
  }

  @Override
  public void adamW(AdamW s, Tensor parameter, Tensor gradient, Tensor first, Tensor second) {
    long toParameter = address(parameter);
    long toGradient = address(gradient);
    long toFirst = address(first);
    long toSecond = address(second);
    float decay = (float) (1 - s.learningRate() * s.weightDecay());
    float stepSize = (float) (s.learningRate() / (1 - Math.pow(s.beta1(), s.step())));
    float correction = (float) Math.sqrt(1 - Math.pow(s.beta2(), s.step()));
    float beta2 = (float) s.beta2();
    float toNew1 = (float) (1 - s.beta1());
    float toNew2 = (float) (1 - s.beta2());
    float eps = (float) s.eps();
    float scale = s.gradientScale();
    HostLoops.forEach(
        parameter.shape().size(),
        (from, count) -> {
          float[] p = HostLoops.read(toParameter, from, count);
          float[] g = HostLoops.read(toGradient, from, count);
          float[] m = HostLoops.read(toFirst, from, count);
          float[] v = HostLoops.read(toSecond, from, count);
          for (int i = 0; i < count; i++) {
            float d = g[i] * scale;
            m[i] += (d - m[i]) * toNew1;
            v[i] = v[i] * beta2 + d * d * toNew2;
            float root = (float) Math.sqrt(v[i]) / correction + eps;
            p[i] = p[i] * decay - stepSize * (m[i] / root);
          }
          HostLoops.write(toParameter, from, p);
          HostLoops.write(toFirst, from, m);
          HostLoops.write(toSecond, from, v);
        });
  }
}
