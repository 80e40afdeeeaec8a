package dev.longalign.tensor.cuda;

import static jcuda.cudaDataType.CUDA_R_16BF;
import static jcuda.cudaDataType.CUDA_R_16F;
import static jcuda.cudaDataType.CUDA_R_32F;
import static jcuda.jcublas.cublasComputeType.CUBLAS_COMPUTE_32F;
import static jcuda.jcublas.cublasGemmAlgo.CUBLAS_GEMM_DEFAULT;
import static jcuda.jcublas.cublasMath.CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
import static jcuda.jcublas.cublasOperation.CUBLAS_OP_N;
import static jcuda.jcublas.cublasOperation.CUBLAS_OP_T;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import jcuda.Pointer;
import jcuda.driver.CUevent;
import jcuda.jcublas.JCublas2;
import jcuda.jcublas.cublasHandle;
import jcuda.jcublas.cublasStatus;
import jcuda.runtime.cudaStream_t;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Matrix products on cuBLAS, beside the kernels of our own: f32 accumulation, never TF32. {@code
 * -Dlongalign.cuda.cublas} says when it is used: {@code off} (the default: the same request gives
 * the same bits, whatever a stopwatch says), {@code auto} (where it was faster when a shape was
 * first met) or {@code on} (wherever it can).
 */
final class Cublas implements AutoCloseable {
  static final String PROPERTY = "longalign.cuda.cublas";

  private static final Logger LOG = LoggerFactory.getLogger(Cublas.class);
  private static final int RUNS = 3;
  private static final long WORKSPACE = 32L << 20; // what cuBLAS takes on Hopper

  enum Mode {
    OFF,
    AUTO,
    ON
  }

  /** A product and how its operands lie, as far as its speed depends on it. */
  record Shape(OperationLog.Product product, int batch, boolean transposeB, boolean finished) {}

  private final CudaMemory memory;
  private final OperationLog log;
  private final CudaDevice device;
  private final boolean measures;
  private final Map<Shape, Boolean> faster = new HashMap<>();
  private final cublasHandle handle = new cublasHandle();
  private final long workspace;
  private long products;

  private Cublas(CudaDevice device, CudaMemory memory, OperationLog log, boolean measures) {
    this.device = device;
    this.memory = memory;
    this.log = log;
    this.measures = measures;
    check(JCublas2.cublasCreate(handle), "starting cuBLAS");
    this.workspace = memory.allocate(WORKSPACE);
    check(JCublas2.cublasSetStream(handle, new cudaStream_t(device.stream())), "cuBLAS's stream");
    // Its own, so that it allocates nothing and a run is like the one before. Setting the stream
    // takes it away again.
    check(
        JCublas2.cublasSetWorkspace(handle, CudaMemory.pointer(workspace), WORKSPACE),
        "cuBLAS's workspace");
    check(
        JCublas2.cublasSetMathMode(handle, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION),
        "cuBLAS's accuracy");
  }

  /** Null where it is not wanted or not there, which the log then explains. */
  static Cublas open(Mode mode, CudaDevice device, CudaMemory memory, OperationLog log) {
    if (mode == Mode.OFF) {
      return null;
    }
    try {
      CudaLibrary.Found found = CudaLibrary.CUBLAS.load();
      Cublas cublas = new Cublas(device, memory, log, mode == Mode.AUTO);
      int[] version = new int[1];
      JCublas2.cublasGetVersion(cublas.handle, version);
      LOG.debug("matrix products may run on cuBLAS {}: {}", version[0], found);
      return cublas;
    } catch (LinkageError | LongAlignException e) {
      String why = "matrix products run on kernels of our own, cuBLAS does not start: {}";
      if (mode == Mode.ON) {
        LOG.warn(why, firstLine(e));
      } else {
        LOG.debug(why, firstLine(e));
      }
      return null;
    }
  }

  /** As the property says. */
  static Mode mode() {
    String text = System.getProperty(PROPERTY, "off");
    for (Mode mode : Mode.values()) {
      if (mode.name().equals(text.toUpperCase(Locale.ROOT))) {
        return mode;
      }
    }
    throw new LongAlignException(PROPERTY + ": expected off, auto or on, found " + text);
  }

  private static String firstLine(Throwable e) {
    Throwable root = e.getCause() == null ? e : e.getCause();
    return String.valueOf(root.getMessage()).lines().findFirst().orElse("");
  }

  /**
   * Whether cuBLAS shall compute products of this shape. Where speed decides, both ways are tried
   * on the operands at hand when a shape is met first (and the device is waited for, so a shape
   * must have been met before it is recorded into a graph); both write the same place.
   */
  boolean prefer(Shape shape, Runnable own, Runnable library) {
    if (shape.product().k() == 0) {
      return false;
    }
    return !measures || faster.computeIfAbsent(shape, s -> seconds(library) < seconds(own));
  }

  private double seconds(Runnable product) {
    product.run(); // loads its kernel
    double best = Double.POSITIVE_INFINITY;
    for (int run = 0; run < RUNS; run++) {
      CUevent begin = log.record();
      product.run();
      CUevent end = log.record();
      device.synchronize();
      best = Math.min(best, log.seconds(begin, end));
    }
    return best;
  }

  /** How many products it has computed. */
  long products() {
    return products;
  }

  /**
   * {@code y = a b}, or {@code a b^T}, row by row, {@code batch} times, one behind the other.
   *
   * @param a address of [m, k]
   * @param b address of [k, n], or [n, k] if it is transposed
   * @param pitch elements from one row of b to the next
   * @param y address of [m, n], of type {@code result}
   */
  void multiply(Shape shape, long a, long b, int pitch, long y, DType result) {
    OperationLog.Product p = shape.product();
    int batch = shape.batch();
    int m = Math.toIntExact(p.m() / batch);
    int k = Math.toIntExact(p.k());
    int n = Math.toIntExact(p.n());
    // JCublas's plain names take what CUDA 10 computed in, a data type; the "new" ones what it is
    // now.
    Pointer one = Pointer.to(new float[] {1});
    Pointer zero = Pointer.to(new float[] {0});
    int type = type(p.dtype());
    int order = shape.transposeB() ? CUBLAS_OP_T : CUBLAS_OP_N;
    Pointer left = CudaMemory.pointer(b); // cuBLAS goes by columns: what it sees is y^T = b^T a^T
    Pointer right = CudaMemory.pointer(a);
    Pointer to = CudaMemory.pointer(y);
    int toType = type(result);
    check(
        batch == 1
            ? JCublas2.cublasGemmEx_new(
                handle,
                order,
                CUBLAS_OP_N,
                n,
                m,
                k,
                one,
                left,
                type,
                pitch,
                right,
                type,
                k,
                zero,
                to,
                toType,
                n,
                CUBLAS_COMPUTE_32F,
                CUBLAS_GEMM_DEFAULT)
            : JCublas2.cublasGemmStridedBatchedEx_new(
                handle,
                order,
                CUBLAS_OP_N,
                n,
                m,
                k,
                one,
                left,
                type,
                pitch,
                (long) pitch * (shape.transposeB() ? n : k),
                right,
                type,
                k,
                (long) m * k,
                zero,
                to,
                toType,
                n,
                (long) m * n,
                batch,
                CUBLAS_COMPUTE_32F,
                CUBLAS_GEMM_DEFAULT),
        "a product " + m + " x " + k + " x " + n + " on cuBLAS");
    products++;
  }

  private static int type(DType dtype) {
    return switch (dtype) {
      case F32 -> CUDA_R_32F;
      case BF16 -> CUDA_R_16BF;
      case F16 -> CUDA_R_16F;
      default -> throw new LongAlignException("cuda does not compute in " + dtype);
    };
  }

  private static void check(int status, String what) {
    if (status != cublasStatus.CUBLAS_STATUS_SUCCESS) {
      throw new LongAlignException(
          what
              + " failed: "
              + cublasStatus.stringFor(status)
              + "; -D"
              + PROPERTY
              + "=off does without");
    }
  }

  @Override
  public void close() {
    JCublas2.cublasDestroy(handle);
    memory.free(workspace);
  }
}
