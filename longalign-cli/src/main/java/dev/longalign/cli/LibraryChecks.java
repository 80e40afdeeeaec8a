package dev.longalign.cli;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtProvider;
import com.sun.jna.Native;
import dev.longalign.cli.Check.Status;
import dev.longalign.host.ProcessSettings;
import dev.longalign.onnx.OnnxRuntime;
import dev.longalign.tensor.BackendProvider;
import dev.longalign.text.EncoderProvider;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;
import java.util.function.Supplier;
import org.bytedeco.dnnl.dnnl_version_t;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.javacpp.Loader;

/** The native libraries in the jars: each is loaded and asked for its version. */
final class LibraryChecks {
  private static final String CPU_BACKEND = "backend cpu";

  private LibraryChecks() {}

  static List<Check> all() {
    List<Check> checks = new ArrayList<>();
    checks.add(guarded("JNA", LibraryChecks::jna));
    checks.add(guarded("oneDNN", LibraryChecks::oneDnn));
    Check onnxRuntime = guarded("ONNX Runtime", LibraryChecks::onnxRuntime);
    checks.add(onnxRuntime);
    checks.add(textEncoders());
    if (onnxRuntime.status() == Status.OK) {
      checks.add(encodersOnGpu());
    }
    List<Check> backends = new ArrayList<>();
    for (BackendProvider provider : ServiceLoader.load(BackendProvider.class)) {
      backends.add(backend(provider));
    }
    if (backends.stream().noneMatch(check -> check.name().equals(CPU_BACKEND))) {
      backends.add(missing(CPU_BACKEND, "longalign-api"));
    }
    checks.addAll(backends);
    return checks;
  }

  private static Check textEncoders() {
    return ServiceLoader.load(EncoderProvider.class)
        .findFirst()
        .map(provider -> Check.ok("libraries", "text encoders", provider.getClass().getName()))
        .orElseGet(() -> missing("text encoders", "longalign-onnx"));
  }

  private static Check encodersOnGpu() {
    String name = "encoders on a GPU";
    if (OrtEnvironment.getAvailableProviders().contains(OrtProvider.CUDA)) {
      return Check.ok("libraries", name, "ONNX Runtime has its CUDA provider");
    }
    return new Check(
        "libraries",
        name,
        Status.ABSENT,
        "this ONNX Runtime has no CUDA provider: text encoders and preference models run on the CPU,"
            + " whatever --device",
        "put com.microsoft.onnxruntime:onnxruntime_gpu in place of onnxruntime (in lib/)");
  }

  private static Check missing(String name, String module) {
    return new Check(
        "libraries",
        name,
        Status.FAILED,
        "no provider on the class path",
        "add dev.longalign:" + module + "; in a jar of jars, merge META-INF/services");
  }

  private static String jna() {
    ProcessSettings.apply();
    return Native.VERSION + ", " + System.getProperty("jnidispatch.path");
  }

  private static String oneDnn() {
    ProcessSettings.apply();
    String file = Loader.load(dnnl.class);
    dnnl_version_t version = dnnl.dnnl_version();
    return version.major()
        + "."
        + version.minor()
        + "."
        + version.patch()
        + ", instruction set "
        + dnnl.get_effective_cpu_isa().toString().replaceFirst("^cpu_isa_", "")
        + ", "
        + file;
  }

  private static String onnxRuntime() {
    String version = OnnxRuntime.environment().getVersion();
    List<String> providers =
        OrtEnvironment.getAvailableProviders().stream().map(OrtProvider::getName).toList();
    String folder =
        System.getProperty("onnxruntime.native.path", System.getProperty("java.io.tmpdir"));
    return version + ", " + String.join(" ", providers) + ", " + folder;
  }

  private static Check backend(BackendProvider provider) {
    String why = provider.whyUnavailable();
    String name = "backend " + provider.kind();
    if (why == null) {
      return Check.ok("libraries", name, provider.getClass().getName());
    }
    boolean needed = provider.kind().equals("cpu");
    return new Check("libraries", name, needed ? Status.FAILED : Status.ABSENT, why, null);
  }

  /** A native library that does not load says so in many ways, none of which may end the report. */
  private static Check guarded(String name, Supplier<String> version) {
    try {
      return Check.ok("libraries", name, version.get());
    } catch (RuntimeException | LinkageError e) {
      Throwable cause = e;
      while (cause.getCause() != null) {
        cause = cause.getCause();
      }
      return new Check(
          "libraries",
          name,
          Status.FAILED,
          "does not load: " + cause,
          "natives for Linux x86-64 with glibc 2.28 or later are in the jars; check the platform,"
              + " and that the cache folder allows execution (noexec?): -Dlongalign.cache names another");
    }
  }
}
