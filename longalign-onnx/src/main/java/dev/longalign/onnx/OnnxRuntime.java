package dev.longalign.onnx;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import dev.longalign.LongAlignException;

/**
 * The process's one ONNX Runtime: quiet, without telemetry. It lives as long as the process does.
 */
final class OnnxRuntime {
  private OnnxRuntime() {}

  /**
   * The environment that all sessions share.
   *
   * @throws LongAlignException if ONNX Runtime's native library does not load here
   */
  static OrtEnvironment environment() {
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

  private static Throwable rootCause(Throwable e) {
    return e.getCause() == null ? e : rootCause(e.getCause());
  }

  /** Initialised on first use, once. */
  private static final class Holder {
    static final OrtEnvironment ENVIRONMENT = create();

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
  }
}
