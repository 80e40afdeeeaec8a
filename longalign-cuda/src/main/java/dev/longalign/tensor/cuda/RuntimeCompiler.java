package dev.longalign.tensor.cuda;

import static jcuda.nvrtc.JNvrtc.*;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import jcuda.nvrtc.nvrtcProgram;
import jcuda.nvrtc.nvrtcResult;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Compiles the kernels' sources with NVRTC for the device at hand. Results are kept in a per-user
 * cache, by a hash of sources, compiler and architecture; a file is written beside its place and
 * renamed, so concurrent processes need no lock.
 */
final class RuntimeCompiler {
  private static final Logger LOG = LoggerFactory.getLogger(RuntimeCompiler.class);
  private static final List<String> HEADERS =
      List.of(
          "device.cuh",
          "pointwise.cuh",
          "reduce.cuh",
          "norm.cuh",
          "product.cuh",
          "product_bwd.cuh");

  private RuntimeCompiler() {}

  /** A cubin of one family of kernels. */
  static byte[] compile(String family, CudaDevice device) {
    List<String> headers = new ArrayList<>();
    HEADERS.forEach(name -> headers.add(source(name)));
    String code = source(family + ".cu");
    String architecture = "sm_" + device.capability();
    try {
      Path cached =
          cacheFolder().resolve(family + "-" + hash(code, headers, architecture) + ".cubin");
      if (Files.isRegularFile(cached)) {
        return Files.readAllBytes(cached);
      }
      LOG.info("Compiling the kernels of {} for {}", family, architecture);
      byte[] cubin = compile(family, code, headers, architecture);
      store(cached, cubin);
      return cubin;
    } catch (IOException e) {
      throw new LongAlignException("the cache of compiled kernels cannot be used: " + e, e);
    } catch (LinkageError e) {
      throw new LongAlignException(
          "this build has no compiled kernels, and NVRTC does not load to compile them ("
              + e.getMessage()
              + "); install CUDA 12's NVRTC (cuda-nvrtc-12-6; pip: nvidia-cuda-nvrtc-cu12), or"
              + " build with nvcc on the PATH",
          e);
    }
  }

  private static String source(String name) {
    byte[] bytes = Kernels.resource(name);
    if (bytes == null) {
      throw new LongAlignException("kernels/" + name + " is missing in the jar; reinstall it");
    }
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private static byte[] compile(
      String family, String code, List<String> headers, String architecture) {
    nvrtcProgram program = new nvrtcProgram();
    check(
        nvrtcCreateProgram(
            program,
            code,
            family + ".cu",
            headers.size(),
            headers.toArray(new String[0]),
            HEADERS.toArray(new String[0])),
        family,
        null);
    try {
      String[] options = {"--gpu-architecture=" + architecture, "--std=c++17"};
      check(nvrtcCompileProgram(program, options.length, options), family, program);
      long[] size = new long[1];
      check(nvrtcGetCUBINSize(program, size), family, program);
      byte[] cubin = new byte[Math.toIntExact(size[0])];
      check(nvrtcGetCUBIN(program, cubin), family, program);
      return cubin;
    } finally {
      nvrtcDestroyProgram(program);
    }
  }

  private static void check(int result, String family, nvrtcProgram program) {
    if (result == nvrtcResult.NVRTC_SUCCESS) {
      return;
    }
    String[] log = {""};
    if (program != null) {
      nvrtcGetProgramLog(program, log);
    }
    throw new LongAlignException(
        "NVRTC does not compile "
            + family
            + ".cu: "
            + nvrtcResult.stringFor(result)
            + " "
            + log[0]);
  }

  private static String hash(String code, List<String> headers, String architecture) {
    int[] major = new int[1];
    int[] minor = new int[1];
    nvrtcVersion(major, minor);
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      headers.forEach(header -> digest.update(header.getBytes(StandardCharsets.UTF_8)));
      digest.update(code.getBytes(StandardCharsets.UTF_8));
      digest.update((architecture + major[0] + "." + minor[0]).getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest.digest(), 0, 16);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  private static Path cacheFolder() throws IOException {
    String xdg = System.getenv("XDG_CACHE_HOME");
    Path base =
        xdg == null || xdg.isEmpty()
            ? Path.of(System.getProperty("user.home"), ".cache")
            : Path.of(xdg);
    return Files.createDirectories(base.resolve("longalign").resolve("kernels"));
  }

  private static void store(Path file, byte[] bytes) throws IOException {
    Path beside = Files.createTempFile(file.getParent(), "kernels", ".tmp");
    try {
      Files.write(beside, bytes);
      Files.move(beside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(beside);
    }
  }
}
