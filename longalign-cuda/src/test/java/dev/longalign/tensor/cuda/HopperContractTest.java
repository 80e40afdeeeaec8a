package dev.longalign.tensor.cuda;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.ProductContractTest;
import org.junit.jupiter.api.condition.EnabledIf;

/** What the kernels for Hopper compute, by the contract of every backend. */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class HopperContractTest extends ProductContractTest {
  @Override
  protected Backend open() {
    return Device.cuda(Emulator.hopper()).open(0);
  }
}
