package dev.longalign.tensor.cpu;

import dev.longalign.LongAlignException;
import dev.longalign.host.ProcessSettings;
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
      ProcessSettings.apply();
      OneDnn.version();
      return null;
    } catch (LongAlignException e) {
      return e.getMessage();
    } catch (LinkageError e) {
      return "oneDNN does not load ("
          + rootCause(e)
          + "); its natives are published for linux-x86_64, here is "
          + System.getProperty("os.name")
          + " "
          + System.getProperty("os.arch");
    }
  }

  private static Throwable rootCause(Throwable e) {
    return e.getCause() == null ? e : rootCause(e.getCause());
  }

  @Override
  public Backend open(DeviceOptions options) {
    return new CpuBackend(options.threads());
  }
}
