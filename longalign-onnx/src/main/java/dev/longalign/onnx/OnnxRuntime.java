package dev.longalign.onnx;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtProvider;
import dev.longalign.LongAlignException;
import dev.longalign.tensor.Device;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The process's one ONNX Runtime: quiet, without telemetry. It lives as long as the process does.
 */
public final class OnnxRuntime {
  private static final long STACK = 128 << 20;
  private static final Logger LOG = LoggerFactory.getLogger(OnnxRuntime.class);

  private OnnxRuntime() {}

  /**
   * The environment that all sessions share.
   *
   * @throws LongAlignException if ONNX Runtime's native library does not load here
   */
  public static OrtEnvironment environment() {
    try {
      return Holder.ENVIRONMENT;
    } catch (LinkageError e) {
      throw new LongAlignException(
          "ONNX Runtime's native library does not load on "
              + System.getProperty("os.name")
              + " "
              + System.getProperty("os.arch")
              + " ("
              + rootCause(e)
              + "). com.microsoft.onnxruntime:onnxruntime has it"
              + " for Linux, macOS and Windows on x86-64 and ARM64; it needs glibc and a temporary directory from which"
              + " libraries may be loaded (-Djava.io.tmpdir=...).",
          e);
    }
  }

  /**
   * The device, or the CPU where this ONNX Runtime cannot use it; then the log says why.
   *
   * @param what runs there, for the log
   */
  static Device usable(Device device, String what) {
    environment(); // loads the library on a stack that is large enough
    if (device.kind().equals("cuda")
        && !OrtEnvironment.getAvailableProviders().contains(OrtProvider.CUDA)) {
      LOG.warn(
          "{} run on the CPU: this ONNX Runtime has no CUDA provider; for {} put"
              + " com.microsoft.onnxruntime:onnxruntime_gpu on the class path in place of"
              + " onnxruntime",
          what,
          device);
      return Device.cpu();
    }
    return device;
  }

  private static Throwable rootCause(Throwable e) {
    return e.getCause() == null ? e : rootCause(e.getCause());
  }

  /**
   * ONNX Runtime 1.29 matches the process's command line against a regular expression that takes
   * some 200 bytes of stack a character: a class path of 5 KiB overflows a JVM thread's 1 MiB and
   * kills the process.
   */
  private static OrtEnvironment onLargeStack() {
    FutureTask<OrtEnvironment> task = new FutureTask<>(OnnxRuntime::create);
    new Thread(null, task, "onnxruntime-start", STACK).start();
    try {
      return task.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while ONNX Runtime started", e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof LinkageError error) {
        throw error;
      }
      throw new IllegalStateException("ONNX Runtime does not start", e.getCause());
    }
  }

  private static OrtEnvironment create() {
    OrtEnvironment environment =
        OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, "longalign");
    try {
      environment.setTelemetry(false);
    } catch (OrtException e) {
      throw new IllegalStateException("ONNX Runtime refuses to switch its telemetry off", e);
    }
    return environment;
  }

  /** Initialised on first use, once. */
  private static final class Holder {
    static final OrtEnvironment ENVIRONMENT = onLargeStack();
  }
}
