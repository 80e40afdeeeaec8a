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
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import jcuda.driver.CUfunction;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;

/**
 * The compiled kernels. In this order: the module that {@code -Dlongalign.cuda.kernels=FILE} names
 * (for work on kernels, and for the emulator); fatbins in the jar, if nvcc was there when it was
 * built; the sources in the jar, compiled by NVRTC at first use and cached.
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
          "optimizer",
          "product_mma",
          "product_fma",
          "product_bwd_mma",
          "product_bwd_fma",
          "attention_mma",
          "attention_fma",
          "attention_bwd_mma",
          "attention_bwd_fma");

  private static final int DEFAULT_SHARED = 48 << 10;

  private final CudaDevice device;
  private final List<CUmodule> modules = new ArrayList<>();
  private final Map<String, CUfunction> functions = new HashMap<>();

  Kernels(CudaDevice device) {
    this.device = device;
    String file = System.getProperty("longalign.cuda.kernels");
    if (file != null) {
      CUmodule module = new CUmodule();
      check(cuModuleLoad(module, file), "loading the kernels of " + file);
      modules.add(module);
      return;
    }
    for (String family : FAMILIES) {
      byte[] image = resource(family + ".fatbin");
      CUmodule module = new CUmodule();
      check(
          cuModuleLoadData(module, image == null ? RuntimeCompiler.compile(family, device) : image),
          "loading the kernels of " + family);
      modules.add(module);
    }
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

  private CUfunction find(String name) {
    for (CUmodule module : modules) {
      CUfunction function = new CUfunction();
      int result = cuModuleGetFunction(function, module, name);
      if (result == CUresult.CUDA_SUCCESS) {
        if (device.sharedMemory() > DEFAULT_SHARED) {
          check(
              cuFuncSetAttribute(
                  function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, device.sharedMemory()),
              "allowing shared memory to " + name);
        }
        return function;
      }
      if (result != CUresult.CUDA_ERROR_NOT_FOUND) {
        check(result, "looking for kernel " + name);
      }
    }
    throw new LongAlignException("no kernel " + name + " in the loaded modules");
  }

  @Override
  public void close() {
    modules.forEach(module -> cuModuleUnload(module));
    modules.clear();
    functions.clear();
  }
}
