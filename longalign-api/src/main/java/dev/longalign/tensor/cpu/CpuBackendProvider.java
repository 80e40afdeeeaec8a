package dev.longalign.tensor.cpu;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.BackendProvider;
import dev.longalign.tensor.DeviceOptions;

/** Opens the CPU backend. */
public final class CpuBackendProvider implements BackendProvider {
  @Override
  public String kind() {
    return "cpu";
  }

  @Override
  public String whyUnavailable() {
    try {
      OneDnn.version();
      return null;
    } catch (LinkageError e) {
      return "oneDNN does not load ("
          + e
          + "); its natives are published for linux-x86_64, here is "
          + System.getProperty("os.name")
          + " "
          + System.getProperty("os.arch");
    }
  }

  @Override
  public Backend open(DeviceOptions options) {
    return new CpuBackend(options.threads());
  }
}
