package dev.longalign.tensor.cuda;

import static jcuda.nvrtc.JNvrtc.*;

import dev.longalign.LongAlignException;
import dev.longalign.host.CacheFolder;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import jcuda.nvrtc.nvrtcProgram;
import jcuda.nvrtc.nvrtcResult;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Compiles the kernels' sources with NVRTC for the device at hand. Results are kept in the user's
 * cache, by a hash of sources, compiler and architecture, and end in a digest of their own.
 */
final class RuntimeCompiler {
  private static final Logger LOG = LoggerFactory.getLogger(RuntimeCompiler.class);
  private static final int DIGEST = 32;
  private static final Pattern INCLUDE = Pattern.compile("#include \"(\\w+\\.cuh)\"");

  private RuntimeCompiler() {}

  /** A cubin of one family of kernels. */
  static byte[] compile(String family, CudaDevice device) {
    String code = source(family + ".cu");
    Map<String, String> headers = new TreeMap<>();
    addHeaders(code, headers);
    boolean hopper = family.endsWith(Kernels.HOPPER_FAMILY); // its instructions have no successor
    String architecture = "sm_" + device.capability() + (hopper ? "a" : "");
    try {
      CudaLibrary.Found library = CudaLibrary.NVRTC.load();
      Path cached =
          CacheFolder.root()
              .resolve("kernels")
              .resolve(family + "-" + hash(code, headers, architecture) + ".cubin");
      byte[] kept = Files.isRegularFile(cached) ? opened(Files.readAllBytes(cached)) : null;
      if (kept != null) {
        return kept;
      }
      if (Files.exists(cached)) {
        LOG.warn("{} is damaged; its kernels are compiled again", cached);
      }
      LOG.info("Compiling the kernels of {} for {} with {}", family, architecture, library.file());
      byte[] cubin = compile(family, code, headers, architecture);
      CacheFolder.write(cached, new ByteArrayInputStream(sealed(cubin)));
      return cubin;
    } catch (IOException e) {
      throw new LongAlignException("the cache of compiled kernels cannot be used: " + e, e);
    } catch (LinkageError e) {
      throw new LongAlignException(
          "this build has no compiled kernels, and NVRTC does not load to compile them ("
              + e.getMessage()
              + "); install CUDA's NVRTC (cuda-nvrtc-12-6 or cuda-nvrtc-13-0; pip:"
              + " nvidia-cuda-nvrtc-cu12), or build with nvcc on the PATH",
          e);
    }
  }

  /** What the code includes of the jar's headers, and what these include. */
  private static void addHeaders(String code, Map<String, String> headers) {
    for (Matcher include = INCLUDE.matcher(code); include.find(); ) {
      String name = include.group(1);
      if (!headers.containsKey(name)) {
        headers.put(name, source(name));
        addHeaders(headers.get(name), headers);
      }
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
      String family, String code, Map<String, String> headers, String architecture) {
    nvrtcProgram program = new nvrtcProgram();
    check(
        nvrtcCreateProgram(
            program,
            code,
            family + ".cu",
            headers.size(),
            headers.values().toArray(new String[0]),
            headers.keySet().toArray(new String[0])),
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

  private static String hash(String code, Map<String, String> headers, String architecture) {
    int[] major = new int[1];
    int[] minor = new int[1];
    nvrtcVersion(major, minor);
    MessageDigest digest = sha256();
    headers.values().forEach(header -> digest.update(header.getBytes(StandardCharsets.UTF_8)));
    digest.update(code.getBytes(StandardCharsets.UTF_8));
    digest.update((architecture + major[0] + "." + minor[0]).getBytes(StandardCharsets.UTF_8));
    return HexFormat.of().formatHex(digest.digest(), 0, 16);
  }

  /** The bytes and their digest. */
  private static byte[] sealed(byte[] cubin) {
    byte[] all = Arrays.copyOf(cubin, cubin.length + DIGEST);
    System.arraycopy(sha256().digest(cubin), 0, all, cubin.length, DIGEST);
    return all;
  }

  /** What was sealed, or null if it is not whole. */
  private static byte[] opened(byte[] sealed) {
    byte[] cubin = Arrays.copyOf(sealed, Math.max(0, sealed.length - DIGEST));
    return Arrays.equals(sealed(cubin), sealed) ? cubin : null;
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
