package dev.longalign.tensor.cuda;

import dev.longalign.pipeline.SamplingGolden;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Tolerance;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;

/**
 * Denoising loops on the emulator, against the reference implementation: {@link SamplingGolden}.
 */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class CudaSamplingGoldenTest {
  private static Backend open() {
    Emulator.require();
    return Device.cuda(0).open(0);
  }

  /** All steps: as written, captured, and replayed twice. */
  @Test
  void lcm() {
    SamplingGolden.firstSteps(open(), "lcm", 4, Tolerance.F32);
  }

  /** With guidance; of 25 steps, which take the emulator minutes, a first and a corrected one. */
  @Test
  void unipc() {
    SamplingGolden.firstSteps(open(), "unipc", 2, Tolerance.F32);
  }
}
