package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.BackendProvider;
import dev.longalign.tensor.DeviceOptions;

/** Opens the CUDA backend; {@link DeviceOptions#threads} has no meaning here. */
public final class CudaBackendProvider implements BackendProvider {
  @Override
  public String kind() {
    return "cuda";
  }

  @Override
  public String whyUnavailable() {
    return CudaDriver.whyUnavailable();
  }

  @Override
  public Backend open(DeviceOptions options) {
    return new CudaBackend(options.index());
  }
}
