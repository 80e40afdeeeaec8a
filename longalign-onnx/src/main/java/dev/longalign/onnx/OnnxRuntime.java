package dev.longalign.onnx;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtProvider;
import dev.longalign.LongAlignException;
import dev.longalign.host.NativeFiles;
import dev.longalign.host.ProcessSettings;
import dev.longalign.tensor.Device;
import java.io.IOException;
import java.lang.reflect.AccessibleObject;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The process's one ONNX Runtime: quiet, and it sends nothing. It lives as long as the process
 * does.
 */
public final class OnnxRuntime {
  private static final Logger LOG = LoggerFactory.getLogger(OnnxRuntime.class);

  private OnnxRuntime() {}

  /**
   * The environment that all sessions share.
   *
   * @throws LongAlignException if ONNX Runtime's native library does not load here
   */
  public static OrtEnvironment environment() {
    ProcessSettings.apply();
    ProcessSettings.set("onnxruntime.native.path", OnnxRuntime::unpacked);
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
              + " for Linux, macOS and Windows on x86-64 and ARM64; it needs glibc and a cache folder from which"
              + " libraries may be loaded (-Dlongalign.cache=...).",
          e);
    }
  }

  /**
   * The device, or the CPU where this ONNX Runtime cannot use it; then the log says why.
   *
   * @param what runs there, for the log
   */
  static Device usable(Device device, String what) {
    environment(); // loads the library
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

  private static OrtEnvironment create() {
    OrtEnvironment environment =
        OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, "longalign");
    keepUntilTheProcessEnds();
    return environment;
  }

  /**
   * Takes a second reference to the native environment. The class {@link OrtEnvironment} releases
   * its own in a shutdown hook, while threads that sample or train may be in the middle of a run;
   * with the last reference the environment would go under them, and the process end in SIGSEGV.
   * The C interface counts references and has one environment a process (onnxruntime's ort_env.cc);
   * the Java interface has no way to ask for another but the method that its constructor calls.
   */
  private static void keepUntilTheProcessEnds() {
    try {
      Class<?> library = Class.forName("ai.onnxruntime.OnnxRuntime");
      Field api = library.getDeclaredField("ortApiHandle");
      Method create =
          OrtEnvironment.class.getDeclaredMethod(
              "createHandle", long.class, int.class, String.class);
      Field folder = library.getDeclaredField("tempDirectory");
      AccessibleObject.setAccessible(new AccessibleObject[] {api, create, folder}, true);
      create.invoke(
          null, api.getLong(null), OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR.getValue(), "longalign");
      // Made in any case and empty here; left behind if the process is killed.
      if (folder.get(null) instanceof Path temporary) {
        Files.deleteIfExists(temporary);
      }
    } catch (ReflectiveOperationException | RuntimeException | IOException e) {
      LOG.warn(
          "this ONNX Runtime is another than this library knows ({}): a program that ends while it"
              + " samples may crash at its end",
          e.toString());
    }
  }

  /** The folder with ONNX Runtime's libraries, which it would otherwise unpack at every start. */
  private static Path unpacked() {
    if (!ProcessSettings.isLinuxX64()) {
      return null;
    }
    List<String> libraries =
        Stream.of("", "4j_jni", "_providers_shared", "_providers_cuda")
            .map(part -> "/ai/onnxruntime/native/linux-x64/libonnxruntime" + part + ".so")
            .toList();
    return NativeFiles.folder("onnxruntime", OrtEnvironment.class, libraries);
  }

  /** Initialised on first use, once. */
  private static final class Holder {
    static final OrtEnvironment ENVIRONMENT = create();
  }
}
