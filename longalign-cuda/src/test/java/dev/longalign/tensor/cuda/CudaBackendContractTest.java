package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.BackendContractTest;
import dev.longalign.tensor.Device;

/** The contract of every backend, on the emulator. */
class CudaBackendContractTest extends BackendContractTest {
  @Override
  protected Backend open() {
    Emulator.require();
    return Device.cuda(0).open(0);
  }
}
