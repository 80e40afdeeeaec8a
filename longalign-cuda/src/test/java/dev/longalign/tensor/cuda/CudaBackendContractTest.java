package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.BackendContractTest;
import dev.longalign.tensor.Device;
import org.junit.jupiter.api.condition.EnabledIf;

/** The contract of every backend, on the emulator. */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class CudaBackendContractTest extends BackendContractTest {
  @Override
  protected Backend open() {
    Emulator.require();
    return Device.cuda(0).open(0);
  }
}
