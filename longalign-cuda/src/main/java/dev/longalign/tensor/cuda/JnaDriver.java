package dev.longalign.tensor.cuda;

import com.sun.jna.Function;
import com.sun.jna.Platform;
import dev.longalign.host.ProcessSettings;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The driver's calls that JCuda 12.6 does not have. Null where they cannot be made. */
final class JnaDriver {
  private static final Logger LOG = LoggerFactory.getLogger(JnaDriver.class);

  static final Function TENSOR_MAP_ENCODE_TILED = find("cuTensorMapEncodeTiled");
  static final Function LAUNCH_KERNEL_EX = find("cuLaunchKernelEx");

  private JnaDriver() {}

  private static Function find(String name) {
    try {
      ProcessSettings.apply();
      return Function.getFunction(Platform.isWindows() ? "nvcuda" : "libcuda.so.1", name);
    } catch (LinkageError e) {
      LOG.warn("Slower than it could be: {} cannot be called: {}", name, e.getMessage());
      return null;
    }
  }
}
