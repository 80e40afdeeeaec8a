package dev.longalign.cli;

import com.sun.jna.Function;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.IntByReference;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import dev.longalign.cli.Check.Status;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What an NVIDIA GPU needs, which is the driver alone; and what could be used beside it. A library
 * counts when the loader can open it; one that lies on disk where the loader does not look is named
 * with its place.
 */
final class GpuChecks {
  private static final String DRIVER = "libcuda.so.1";
  // CUdevice_attribute
  private static final int CAPABILITY_MAJOR = 75;
  private static final int CAPABILITY_MINOR = 76;

  /** Of the kernels: Ampere, and CUDA 12.0. */
  private static final int OLDEST_CAPABILITY = 80;

  private static final int OLDEST_DRIVER = 12000;

  private static final Path KERNEL_MODULE = Path.of("/proc/driver/nvidia/version");
  private static final Pattern RELEASE = Pattern.compile("\\b(\\d{3}\\.\\d+(\\.\\d+)?)\\b");

  /**
   * @param label what it is
   * @param sonames the names that serve, the best first
   * @param others names of other versions, told apart from nothing at all
   * @param remedy what to install
   */
  private record Library(String label, List<String> sonames, List<String> others, String remedy) {}

  private static final List<Library> LIBRARIES =
      List.of(
          new Library(
              "NVIDIA driver",
              List.of(DRIVER),
              List.of(),
              "install the NVIDIA driver (in a container: run it with --gpus all)"),
          new Library(
              "cuBLAS (optional)",
              List.of("libcublas.so.12", "libcublas.so.13"),
              List.of("libcublas.so.11"),
              "not needed: matrix products have kernels of their own;"
                  + " -Dlongalign.cuda.cublas=auto uses it where it is faster"),
          new Library(
              "NVRTC (optional)",
              List.of("libnvrtc.so.12", "libnvrtc.so.13"),
              List.of("libnvrtc.so.11.2"),
              "only needed where nvcc was not there when the jar was built; it is cuda-nvrtc-12-6 or"
                  + " cuda-nvrtc-13-0 (pip: nvidia-cuda-nvrtc-cu12)"),
          new Library(
              "cuDNN (optional)",
              List.of("libcudnn.so.8"),
              List.of("libcudnn.so.9"),
              "not used: convolutions have kernels of their own"));

  private final LoaderPaths paths;

  GpuChecks(LoaderPaths paths) {
    this.paths = paths;
  }

  List<Check> all() {
    List<Check> checks = new ArrayList<>();
    LIBRARIES.forEach(library -> checks.add(check(library)));
    if (checks.get(0).status() == Status.OK) {
      checks.add(devices());
    }
    return checks;
  }

  private Check check(Library library) {
    StringBuilder found = new StringBuilder();
    String remedy = library.remedy();
    for (String soname : library.sonames()) {
      Optional<Path> file = paths.find(soname);
      String failure = openFailure(soname);
      if (failure == null) {
        return Check.ok("gpu", library.label(), soname + file.map(f -> " in " + f).orElse(""));
      }
      found.append(found.length() == 0 ? "" : "; ");
      if (file.isPresent()) {
        found.append(file.get()).append(" is there and does not open: ").append(failure);
        remedy =
            failure.startsWith(soname)
                ? "add " + file.get().getParent() + " to LD_LIBRARY_PATH, or run ldconfig"
                : "install what it needs: " + failure.split(":", 2)[0];
      } else {
        found.append(soname).append(" not found");
      }
    }
    for (String other : library.others()) {
      paths
          .find(other)
          .ifPresent(file -> found.append("; ").append(file).append(" is another version"));
    }
    return new Check("gpu", library.label(), Status.ABSENT, found.toString(), remedy);
  }

  private static String openFailure(String soname) {
    try {
      NativeLibrary.getInstance(soname);
      return null;
    } catch (LinkageError e) {
      return e.getMessage() == null ? "unknown" : e.getMessage().lines().findFirst().orElse("");
    }
  }

  /** The CUDA driver API: cuInit, version, devices, their capability and memory. */
  private static Check devices() {
    NativeLibrary driver = NativeLibrary.getInstance(DRIVER);
    int error = driver.getFunction("cuInit").invokeInt(new Object[] {0});
    if (error != 0) {
      return new Check(
          "gpu",
          "devices",
          Status.ABSENT,
          "cuInit failed with CUDA error " + error,
          error == 100
              ? "the driver sees no GPU; check nvidia-smi and the container's devices"
              : "check nvidia-smi; a driver update needs the machine or container to restart");
    }
    int version = ask(driver.getFunction("cuDriverGetVersion"));
    int count = ask(driver.getFunction("cuDeviceGetCount"));
    List<String> names = new ArrayList<>();
    boolean usable = false;
    for (int i = 0; i < count; i++) {
      names.add(device(driver, i));
      usable |= capability(driver, i) >= OLDEST_CAPABILITY;
    }
    String found =
        String.format(
            Locale.ROOT,
            "driver %sfor CUDA %d.%d; %s",
            release().map(release -> release + " ").orElse(""),
            version / 1000,
            version % 1000 / 10,
            names.isEmpty() ? "no device" : String.join(", ", names));
    String missing =
        version < OLDEST_DRIVER
            ? "needed is a driver for CUDA 12.0 or later (525.60)"
            : count == 0
                ? "check nvidia-smi and CUDA_VISIBLE_DEVICES"
                : usable ? null : "needed is compute capability 8.0 (Ampere) or later";
    return missing == null
        ? Check.ok("gpu", "devices", found)
        : new Check("gpu", "devices", Status.ABSENT, found, missing);
  }

  /** The driver's own version, for example 550.54.15, where its kernel module tells. */
  private static Optional<String> release() {
    try {
      return Files.readAllLines(KERNEL_MODULE).stream()
          .map(RELEASE::matcher)
          .filter(Matcher::find)
          .map(release -> release.group(1))
          .findFirst();
    } catch (IOException e) {
      return Optional.empty(); // in some containers
    }
  }

  private static int capability(NativeLibrary driver, int device) {
    return 10 * attribute(driver, CAPABILITY_MAJOR, device)
        + attribute(driver, CAPABILITY_MINOR, device);
  }

  private static String device(NativeLibrary driver, int index) {
    byte[] name = new byte[256];
    driver.getFunction("cuDeviceGetName").invokeInt(new Object[] {name, name.length, index});
    int length = 0;
    while (length < name.length && name[length] != 0) {
      length++;
    }
    return String.format(
        Locale.ROOT,
        "cuda:%d %s (sm_%d), %s",
        index,
        new String(name, 0, length, StandardCharsets.UTF_8),
        capability(driver, index),
        memory(driver, index));
  }

  private static int attribute(NativeLibrary driver, int which, int device) {
    IntByReference value = new IntByReference();
    driver.getFunction("cuDeviceGetAttribute").invokeInt(new Object[] {value, which, device});
    return value.getValue();
  }

  /** Free memory is only told inside a context. */
  private static String memory(NativeLibrary driver, int device) {
    PointerByReference context = new PointerByReference();
    int error =
        driver.getFunction("cuDevicePrimaryCtxRetain").invokeInt(new Object[] {context, device});
    if (error != 0) {
      return "cannot be used: CUDA error " + error;
    }
    try {
      driver.getFunction("cuCtxSetCurrent").invokeInt(new Object[] {context.getValue()});
      LongByReference free = new LongByReference();
      LongByReference total = new LongByReference();
      driver.getFunction("cuMemGetInfo_v2").invokeInt(new Object[] {free, total});
      return String.format(
          Locale.ROOT,
          "%.1f of %.1f GiB free",
          free.getValue() / 0x1p30,
          total.getValue() / 0x1p30);
    } finally {
      driver.getFunction("cuCtxSetCurrent").invokeInt(new Object[] {Pointer.NULL});
      driver.getFunction("cuDevicePrimaryCtxRelease_v2").invokeInt(new Object[] {device});
    }
  }

  private static int ask(Function function) {
    IntByReference value = new IntByReference();
    function.invokeInt(new Object[] {value});
    return value.getValue();
  }
}
