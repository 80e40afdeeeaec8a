package dev.longalign.tensor;

/** The oneDNN backend, found as a user finds it. */
class CpuBackendContractTest extends BackendContractTest {
  @Override
  protected Backend open() {
    return Device.cpu().open(2);
  }
}
