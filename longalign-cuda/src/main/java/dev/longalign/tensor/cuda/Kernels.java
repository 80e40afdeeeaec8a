package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaDriver.check;
import static jcuda.driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
import static jcuda.driver.JCudaDriver.cuFuncSetAttribute;
import static jcuda.driver.JCudaDriver.cuModuleGetFunction;
import static jcuda.driver.JCudaDriver.cuModuleLoad;
import static jcuda.driver.JCudaDriver.cuModuleLoadData;
import static jcuda.driver.JCudaDriver.cuModuleUnload;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The compiled kernels. In this order: the module that {@code -Dlongalign.cuda.kernels=FILE} names
 * (for work on kernels, and for the emulator); fatbins in the jar, if nvcc was there when it was
 * built and the driver takes them; the sources in the jar, compiled by NVRTC at first use and
 * cached. A family is loaded when one of its kernels is wanted; the first at once, to tell early
 * what is missing.
 */
final class Kernels implements AutoCloseable {
  /** The files of native/kernels. */
  static final List<String> FAMILIES =
      List.of(
          "pointwise",
          "pointwise_bwd",
          "shape",
          "rows",
          "reduce",
          "norm",
          "norm_bwd",
          "preference",
          "optimizer",
          "product_mma",
          "product_wgmma",
          "product_fma",
          "product_finish",
          "product_bwd_mma",
          "product_bwd_fma",
          "attention_mma",
          "attention_wgmma",
          "attention_fma",
          "attention_bwd_mma",
          "attention_bwd_fma");

  /** What decides how fast products are. */
  static final List<String> PRODUCT_SOURCES =
      List.of(
          "device.cuh",
          "hopper.cuh",
          "product.cuh",
          "product_fma.cu",
          "product_finish.cu",
          "product_mma.cu",
          "product_wgmma.cu");

  /** Families for compute capability 9.0 alone end so; their kernels' names contain */
  static final String HOPPER_FAMILY = "_wgmma";

  private static final String HOPPER_KERNEL = "_hopper_";

  /** Families for f32 alone. */
  private static final String F32_FAMILY = "_fma";

  private static final String F32_KERNEL = "_f32_";

  private static final Logger LOG = LoggerFactory.getLogger(Kernels.class);
  private static final int DEFAULT_SHARED = 48 << 10;

  private final CudaDevice device;
  private final Map<String, CUmodule> modules = new HashMap<>();

  /** What the system property names; else null. */
  private final CUmodule onlyModule;

  private final Map<String, Launch.Function> functions = new HashMap<>();

  Kernels(CudaDevice device) {
    this.device = device;
    String file = System.getProperty("longalign.cuda.kernels");
    if (file != null) {
      onlyModule = new CUmodule();
      check(cuModuleLoad(onlyModule, file), "loading the kernels of " + file);
    } else {
      onlyModule = null;
      modules.put(FAMILIES.get(0), load(FAMILIES.get(0)));
    }
  }

  private CUmodule load(String family) {
    byte[] fatbin = resource(family + ".fatbin");
    CUmodule module = new CUmodule();
    int result = fatbin == null ? CUresult.CUDA_ERROR_NOT_FOUND : cuModuleLoadData(module, fatbin);
    if (fatbin != null && result != CUresult.CUDA_SUCCESS) {
      LOG.info(
          "This driver does not take the compiled kernels of {} ({}); they are compiled again",
          family,
          CUresult.stringFor(result));
    }
    if (result != CUresult.CUDA_SUCCESS) {
      check(
          cuModuleLoadData(module, RuntimeCompiler.compile(family, device)),
          "loading the kernels of " + family);
    }
    return module;
  }

  /** A file of the jar's kernels, or null. */
  static byte[] resource(String name) {
    try (InputStream stream = Kernels.class.getResourceAsStream("kernels/" + name)) {
      return stream == null ? null : stream.readAllBytes();
    } catch (IOException e) {
      throw new LongAlignException("kernels/" + name + " in the jar cannot be read: " + e, e);
    }
  }

  /**
   * Begins a launch; shared memory beyond what every kernel may have is allowed up to the device's
   * limit.
   */
  Launch launch(String name) {
    return new Launch(device, name, functions.computeIfAbsent(name, this::find));
  }

  private Launch.Function find(String name) {
    for (String family : onlyModule == null ? candidates(name) : List.<String>of()) {
      Launch.Function function = find(name, modules.computeIfAbsent(family, this::load));
      if (function != null) {
        return function;
      }
    }
    Launch.Function function = onlyModule == null ? null : find(name, onlyModule);
    if (function == null) {
      throw new LongAlignException("no kernel " + name + " in the loaded modules");
    }
    return function;
  }

  /** Families that a kernel may be of, the likeliest first. */
  static List<String> candidates(String name) {
    List<String> families = new ArrayList<>(FAMILIES);
    families.removeIf(f -> f.endsWith(HOPPER_FAMILY) != name.contains(HOPPER_KERNEL));
    families.removeIf(f -> f.endsWith(F32_FAMILY) && !name.contains(F32_KERNEL));
    families.sort(Comparator.comparingInt((String family) -> mentioned(family, name)).reversed());
    return families;
  }

  /**
   * How much of the beginning of a kernel's name the family's source mentions: names end in what
   * macros put together.
   */
  private static int mentioned(String family, String name) {
    byte[] bytes = resource(family + ".cu");
    String source = bytes == null ? "" : new String(bytes, StandardCharsets.UTF_8);
    int length = name.length();
    while (!source.contains(name.substring(0, length))) {
      length--;
    }
    return length;
  }

  private Launch.Function find(String name, CUmodule module) {
    Launch.Function function = new Launch.Function();
    int result = cuModuleGetFunction(function, module, name);
    if (result == CUresult.CUDA_ERROR_NOT_FOUND) {
      return null;
    }
    check(result, "looking for kernel " + name);
    if (device.sharedMemory() > DEFAULT_SHARED) {
      check(
          cuFuncSetAttribute(
              function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, device.sharedMemory()),
          "allowing shared memory to " + name);
    }
    return function;
  }

  @Override
  public void close() {
    modules.values().forEach(module -> cuModuleUnload(module));
    if (onlyModule != null) {
      cuModuleUnload(onlyModule);
    }
    modules.clear();
    functions.clear();
  }
}
