package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.GradientOps;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.MemoryUse;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.PreferenceGradient;
import dev.longalign.tensor.ReweightedTexts;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TrainingOps;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * The CPU backend, on oneDNN. Activations are NHWC; weights take oneDNN's own blocked layouts at
 * first use. Every operation uses all threads, so one operation runs at a time, whoever calls.
 */
public final class CpuBackend implements Backend {
  private final CpuMemory memory = new CpuMemory();
  private final PrimitiveCache cache = new PrimitiveCache(memory);
  private final WorkLog work = new WorkLog();
  private final CpuContext context = new CpuContext(this, memory, cache, work);
  private final MatrixOps matrix = new MatrixOps(context);
  private final ConvolutionOps convolution = new ConvolutionOps(context);
  private final AttentionOps attention;
  private final NormOps norm;
  private final PointwiseOps pointwise = new PointwiseOps(context);
  private final ShapeOps shapes = new ShapeOps(context);
  private final PreferenceOps preference = new PreferenceOps(context);
  private final CpuTraining training;
  private final CpuGradients gradients;
  private final CpuThreads threads;
  private final CpuWorkers workers;
  private final ReentrantLock lock = new ReentrantLock(true);
  private boolean closed;

  /**
   * @param threads to compute with, or 0 for one per core
   */
  public CpuBackend(int threads) {
    this.threads = new CpuThreads(threads);
    this.workers = new CpuWorkers(memory, this.threads);
    this.attention = new AttentionOps(context, workers);
    this.norm = new NormOps(context, workers);
    this.training = new CpuTraining(this, context, matrix, convolution, attention, workers);
    this.gradients = new CpuGradients(this, context, matrix, convolution, pointwise, workers);
  }

  <T> T exclusively(String name, Supplier<T> operation) {
    lock.lock();
    try {
      if (closed) {
        throw new LongAlignException("the backend " + name() + " is closed");
      }
      threads.apply();
      WorkLog.Outer outer = work.begin();
      long begin = System.nanoTime();
      try {
        return operation.get();
      } finally {
        work.end(outer, name, System.nanoTime() - begin);
      }
    } finally {
      lock.unlock();
    }
  }

  @Override
  public String name() {
    return "cpu (oneDNN " + OneDnn.version() + ", " + threads.count() + " threads)";
  }

  /** F32 always; BF16 where the processor multiplies it in hardware. */
  @Override
  public boolean supports(DType dtype) {
    return dtype == DType.F32 || (dtype == DType.BF16 && OneDnn.hasBf16());
  }

  @Override
  public MemoryUse memory() {
    return memory.use();
  }

  @Override
  public void resetPeakMemory() {
    memory.resetPeak();
  }

  @Override
  public void limitMemory(long bytes) {
    memory.limit(bytes);
  }

  @Override
  public long freeMemory() {
    return memory.available();
  }

  @Override
  public <T> T withinFreeMemory(Supplier<T> work) {
    return memory.withinAvailable(work);
  }

  @Override
  public Map<String, OperationCost> costs() {
    lock.lock();
    try {
      return work.costs();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public double roofGflops() {
    return exclusively("roof", () -> new CpuRoof(memory).gflops(work.shapes()));
  }

  @Override
  public Tensor upload(ByteBuffer elements, DType dtype, Shape shape) {
    if (elements.remaining() != shape.size() * dtype.bytes()) {
      throw new LongAlignException(
          "upload: " + elements.remaining() + " bytes do not fill " + dtype + " " + shape);
    }
    Tensor x = context.allocate(dtype, shape);
    HostMemory.write(address(x), elements);
    return x;
  }

  @Override
  public void download(Tensor x, float[] into) {
    if (into.length == 0) {
      return;
    }
    if (x.dtype() == DType.F32) {
      HostMemory.read(address(x), into);
      return;
    }
    long copy = memory.allocate(4L * into.length);
    try {
      exclusively(
          "download",
          () -> {
            context.convert(x, DType.F32, copy);
            return null;
          });
      HostMemory.read(copy, into);
    } finally {
      memory.free(copy);
    }
  }

  @Override
  public Tensor zeros(DType dtype, Shape shape) {
    Tensor x = context.allocate(dtype, shape);
    HostMemory.zero(address(x), x.storage().bytes());
    return x;
  }

  @Override
  public Tensor cast(Tensor x, DType dtype) {
    return exclusively("cast", () -> shapes.cast(x, dtype));
  }

  @Override
  public LinearWeight packLinear(Tensor weight, Tensor bias, DType dtype) {
    return exclusively("packLinear", () -> matrix.pack(weight, bias, dtype));
  }

  @Override
  public LinearWeight packGeglu(Tensor weight, Tensor bias, DType dtype) {
    return exclusively("packGeglu", () -> matrix.packGeglu(weight, bias, dtype));
  }

  @Override
  public Conv2dWeight packConv2d(Tensor weight, Tensor bias, Conv2dGeometry geometry, DType dtype) {
    return exclusively("packConv2d", () -> convolution.pack(weight, bias, geometry, dtype));
  }

  @Override
  public Tensor linear(Tensor x, LinearWeight weight, Epilogue epilogue) {
    return exclusively("linear", () -> matrix.linear(x, weight, epilogue));
  }

  @Override
  public Tensor geglu(Tensor x, LinearWeight packedGeglu) {
    return exclusively("geglu", () -> matrix.geglu(x, packedGeglu));
  }

  @Override
  public Tensor conv2d(Tensor x, Conv2dWeight weight, Epilogue epilogue) {
    return exclusively("conv2d", () -> convolution.conv2d(x, weight, epilogue));
  }

  @Override
  public Tensor matmul(Tensor a, Tensor b, boolean transposeB) {
    return exclusively("matmul", () -> matrix.matmul(a, b, transposeB));
  }

  @Override
  public Tensor attention(Tensor q, Tensor k, Tensor v, int heads, float scale) {
    return exclusively("attention", () -> attention.attention(q, k, v, heads, scale, false));
  }

  @Override
  public Tensor groupNorm(
      Tensor x, int groups, Tensor gamma, Tensor beta, float eps, Activation activation) {
    return exclusively("groupNorm", () -> norm.groupNorm(x, groups, gamma, beta, eps, activation));
  }

  @Override
  public Tensor layerNorm(Tensor x, Tensor gamma, Tensor beta, float eps) {
    return exclusively("layerNorm", () -> norm.layerNorm(x, gamma, beta, eps));
  }

  @Override
  public Tensor activation(Tensor x, Activation activation) {
    return exclusively("activation", () -> pointwise.activation(x, activation));
  }

  @Override
  public Tensor gatedGelu(Tensor x) {
    return exclusively("gatedGelu", () -> pointwise.gatedGelu(x));
  }

  @Override
  public Tensor linearCombination(float[] coefficients, Tensor... xs) {
    return exclusively("linearCombination", () -> pointwise.linearCombination(coefficients, xs));
  }

  @Override
  public Tensor clamp(Tensor x, float low, float high) {
    return exclusively("clamp", () -> pointwise.clamp(x, low, high));
  }

  @Override
  public Tensor reshape(Tensor x, Shape shape) {
    return new Tensor(this, x.storage(), x.offset(), x.dtype(), shape);
  }

  @Override
  public Tensor rows(Tensor x, long from, long to) {
    long row = x.shape().dim(0) == 0 ? 0 : x.shape().size() / x.shape().dim(0);
    return new Tensor(
        this, x.storage(), x.offset() + from * row, x.dtype(), x.shape().with(0, to - from));
  }

  @Override
  public Tensor concat(int axis, Tensor... xs) {
    return exclusively("concat", () -> shapes.concat(axis, xs));
  }

  @Override
  public Tensor upsampleNearest(Tensor x, int height, int width) {
    return exclusively("upsampleNearest", () -> shapes.upsampleNearest(x, height, width));
  }

  @Override
  public Tensor segmentConcat(
      Tensor hidden,
      int[][] ids,
      int[] segmentsPerCaption,
      int eosId,
      int padId,
      Tensor padEmbedding,
      int tokenLength) {
    return exclusively(
        "segmentConcat",
        () ->
            shapes.segmentConcat(
                hidden, ids, segmentsPerCaption, eosId, padId, padEmbedding, tokenLength));
  }

  @Override
  public ReweightedTexts reweight(Tensor texts, Tensor direction, float omega) {
    return exclusively("reweight", () -> preference.reweight(texts, direction, omega));
  }

  @Override
  public PreferenceGradient preferenceGradient(Tensor texts, Tensor images) {
    return exclusively("preferenceGradient", () -> preference.gradient(texts, images));
  }

  @Override
  public TrainingOps training() {
    return training;
  }

  @Override
  public GradientOps gradients() {
    return gradients;
  }

  @Override
  public void close() {
    lock.lock();
    try {
      if (!closed) {
        closed = true;
        workers.close();
        cache.close();
        memory.close();
      }
    } finally {
      lock.unlock();
    }
  }
}
