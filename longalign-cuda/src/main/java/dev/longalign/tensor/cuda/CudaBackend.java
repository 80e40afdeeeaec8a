package dev.longalign.tensor.cuda;

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
import dev.longalign.tensor.TensorFunction;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.TrainingOps;
import java.nio.ByteBuffer;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * The CUDA backend: hand-written kernels through the driver API, and cuBLAS where that is wanted
 * and there; needs nothing but the NVIDIA driver. All operations go to one stream, in the order of
 * the calls, whoever calls; they return when they are enqueued. {@link #download} waits.
 */
public final class CudaBackend implements Backend {
  private final CudaDevice device;
  private final CudaMemory memory;
  private final Kernels kernels;
  private final Transfers transfers;
  private final OperationLog log;

  /** Signatures of {@link ReplayedFunction}s that have run. */
  private final Set<Object> replayed = new HashSet<>();

  private final CudaContext context;
  private final Cublas cublas;
  private final ProductOps products;
  private final AttentionOps attention;
  private final NormOps norms;
  private final PointwiseOps pointwise;
  private final ShapeOps shapes;
  private final PreferenceOps preference;
  private final CudaTraining training;
  private final CudaGradients gradients;
  private final ReentrantLock lock = new ReentrantLock(true);
  private boolean closed;

  /**
   * @param index of the device, from 0
   * @throws LongAlignException if there is no such device or it cannot be used; the message says
   *     why
   */
  public CudaBackend(int index) {
    Cublas.Mode mode = Cublas.mode();
    this.device = new CudaDevice(index);
    Kernels loaded;
    try {
      loaded = new Kernels(device);
    } catch (LongAlignException e) {
      device.close();
      throw e;
    }
    this.kernels = loaded;
    this.memory = new CudaMemory(device);
    this.log = new OperationLog(device);
    this.transfers = new Transfers(device, log);
    this.context = new CudaContext(this, device, memory, kernels, log);
    this.cublas = Cublas.open(mode, device, memory, log);
    this.products = new ProductOps(context, transfers, cublas);
    this.attention = new AttentionOps(context);
    this.norms = new NormOps(context);
    this.pointwise = new PointwiseOps(context, transfers);
    this.shapes = new ShapeOps(context, transfers);
    this.preference = new PreferenceOps(context);
    RowOps rows = new RowOps(context, transfers);
    this.training =
        new CudaTraining(
            this,
            products,
            attention,
            new TrainingPointwiseOps(context),
            rows,
            shapes,
            new OptimizerOps(context, transfers));
    this.gradients =
        new CudaGradients(
            this,
            new ProductGradient(context, products),
            new AttentionGradient(context),
            new NormGradient(context),
            new PointwiseGradient(context),
            rows);
  }

  <T> T enqueue(String name, Supplier<T> operation) {
    lock.lock();
    try {
      checkOpen();
      device.makeCurrent();
      return log.measure(name, operation);
    } finally {
      lock.unlock();
    }
  }

  /** Runs an operation whose intermediate tensors die with it. */
  Tensor scoped(String name, Supplier<Tensor> operation) {
    return enqueue(
        name,
        () -> {
          try (TensorScope scope = TensorScope.open()) {
            return scope.keep(operation.get());
          }
        });
  }

  private void checkOpen() {
    if (closed) {
      throw new LongAlignException("the backend " + name() + " is closed");
    }
  }

  /** Runs several operations without those of other threads in between. */
  private <T> T together(Supplier<T> operations) {
    lock.lock();
    try {
      checkOpen();
      device.makeCurrent();
      return operations.get();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void synchronize() {
    checkOpen();
    device.makeCurrent();
    device.synchronize();
  }

  /** How many products cuBLAS has computed. */
  long cublasProducts() {
    return cublas == null ? 0 : cublas.products();
  }

  /** For example {@code cuda (NVIDIA H200, sm_90)}. */
  @Override
  public String name() {
    return "cuda (" + device.name() + ", sm_" + device.capability() + ")";
  }

  @Override
  public boolean supports(DType dtype) {
    return dtype == DType.F32 || dtype == DType.BF16 || dtype == DType.F16;
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
    return together(memory::available);
  }

  /**
   * What runs inside of a captured graph is not timed one by one: a replay is one operation, {@code
   * replay}. With {@code -Dlongalign.cuda.graphs=false} nothing is captured, and everything timed.
   */
  @Override
  public Map<String, OperationCost> costs() {
    return together(log::costs);
  }

  @Override
  public TensorFunction repeated(TensorFunction body) {
    if ("false".equals(System.getProperty("longalign.cuda.graphs"))) {
      return body;
    }
    ReplayedFunction function =
        TensorScope.register(new ReplayedFunction(context, transfers, replayed, body));
    return inputs -> together(() -> function.apply(inputs));
  }

  @Override
  public double roofGflops() {
    return enqueue("roof", () -> new CudaRoof(this, log).gflops(log.products()));
  }

  @Override
  public Tensor upload(ByteBuffer elements, DType dtype, Shape shape) {
    if (elements.remaining() != shape.size() * dtype.bytes()) {
      throw new LongAlignException(
          "upload: " + elements.remaining() + " bytes do not fill " + dtype + " " + shape);
    }
    return enqueue(
        "upload",
        () -> {
          Tensor x = context.allocate(dtype, shape);
          transfers.upload(elements, context.address(x));
          return x;
        });
  }

  @Override
  public void download(Tensor x, float[] into) {
    enqueue(
        "download",
        () -> {
          x.storage(); // complain about a closed scope, whatever the size
          if (into.length > 0 && x.dtype() == DType.F32) {
            transfers.download(context.address(x), into);
          } else if (into.length > 0) {
            try (TensorScope scope = TensorScope.open()) {
              transfers.download(context.address(pointwise.cast(x, DType.F32)), into);
            }
          }
          return null;
        });
  }

  @Override
  public Tensor zeros(DType dtype, Shape shape) {
    return enqueue(
        "zeros",
        () -> {
          Tensor x = context.allocate(dtype, shape);
          transfers.zero(context.address(x), x.storage().bytes());
          return x;
        });
  }

  @Override
  public Tensor cast(Tensor x, DType dtype) {
    return enqueue("cast", () -> pointwise.cast(x, dtype));
  }

  @Override
  public LinearWeight packLinear(Tensor weight, Tensor bias, DType dtype) {
    return enqueue("packLinear", () -> products.pack(weight, bias, dtype, false));
  }

  @Override
  public void placeTogether(LinearWeight... weights) {
    enqueue(
        "placeTogether",
        () -> {
          products.placeTogether(weights);
          return null;
        });
  }

  @Override
  public LinearWeight packGeglu(Tensor weight, Tensor bias, DType dtype) {
    return enqueue("packGeglu", () -> products.pack(weight, bias, dtype, true));
  }

  @Override
  public Conv2dWeight packConv2d(Tensor weight, Tensor bias, Conv2dGeometry geometry, DType dtype) {
    return enqueue("packConv2d", () -> products.pack(weight, bias, geometry, dtype));
  }

  @Override
  public Tensor linear(Tensor x, LinearWeight weight, Epilogue epilogue) {
    return enqueue("linear", () -> products.linear(x, weight, epilogue));
  }

  @Override
  public Tensor[] linears(Tensor x, LinearWeight... weights) {
    return enqueue("linear", () -> products.linears(x, weights));
  }

  @Override
  public Tensor geglu(Tensor x, LinearWeight packedGeglu) {
    return enqueue("geglu", () -> products.linear(x, packedGeglu, Epilogue.NONE));
  }

  @Override
  public Tensor conv2d(Tensor x, Conv2dWeight weight, Epilogue epilogue) {
    return enqueue("conv2d", () -> products.conv2d(x, weight, epilogue));
  }

  @Override
  public Tensor upsampleConv2d(Tensor x, int height, int width, Conv2dWeight weight) {
    if (height != 2 * x.dim(1) || width != 2 * x.dim(2)) {
      return Backend.super.upsampleConv2d(x, height, width, weight);
    }
    return enqueue("conv2d", () -> products.doubledConv2d(x, weight));
  }

  @Override
  public Tensor matmul(Tensor a, Tensor b, boolean transposeB) {
    return enqueue("matmul", () -> products.matmul(a, b, transposeB));
  }

  @Override
  public Tensor attention(Tensor q, Tensor k, Tensor v, int heads, float scale) {
    return enqueue("attention", () -> attention.attention(q, k, v, heads, scale));
  }

  @Override
  public Tensor groupNorm(
      Tensor x, int groups, Tensor gamma, Tensor beta, float eps, Activation activation) {
    return enqueue("groupNorm", () -> norms.groupNorm(x, groups, gamma, beta, eps, activation));
  }

  @Override
  public Tensor layerNorm(Tensor x, Tensor gamma, Tensor beta, float eps) {
    return enqueue("layerNorm", () -> norms.layerNorm(x, gamma, beta, eps));
  }

  @Override
  public Tensor activation(Tensor x, Activation activation) {
    return enqueue("activation", () -> pointwise.activation(x, activation));
  }

  @Override
  public Tensor gatedGelu(Tensor x) {
    return enqueue("gatedGelu", () -> pointwise.gatedGelu(x));
  }

  @Override
  public Tensor linearCombination(float[] coefficients, Tensor... xs) {
    return enqueue("linearCombination", () -> pointwise.linearCombination(coefficients, xs));
  }

  @Override
  public Tensor clamp(Tensor x, float low, float high) {
    return enqueue("clamp", () -> pointwise.clamp(x, low, high));
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
    return enqueue("concat", () -> shapes.concat(axis, xs));
  }

  @Override
  public Tensor upsampleNearest(Tensor x, int height, int width) {
    return enqueue("upsampleNearest", () -> shapes.upsampleNearest(x, height, width));
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
    return enqueue(
        "segmentConcat",
        () ->
            shapes.segmentConcat(
                hidden, ids, segmentsPerCaption, eosId, padId, padEmbedding, tokenLength));
  }

  @Override
  public ReweightedTexts reweight(Tensor texts, Tensor direction, float omega) {
    return enqueue("reweight", () -> preference.reweight(texts, direction, omega));
  }

  @Override
  public PreferenceGradient preferenceGradient(Tensor texts, Tensor images) {
    return enqueue("preferenceGradient", () -> preference.gradient(texts, images));
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
        device.makeCurrent();
        log.close();
        if (cublas != null) {
          cublas.close();
        }
        transfers.close();
        memory.close();
        kernels.close();
        device.close();
        closed = true;
      }
    } finally {
      lock.unlock();
    }
  }
}
