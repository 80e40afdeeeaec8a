package dev.longalign.benchmarks;

import dev.longalign.tensor.Device;
import dev.longalign.training.TrainingGolden;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Training steps through a preference model on the emulator: here, where the emulator is loaded and
 * ONNX Runtime is on the class path. The reference's vectors have latents of 64 x 64, whose
 * pictures alone would take the emulator many minutes, and stage 3 has 50 steps. So the device is
 * compared with the CPU on smaller ones, and the CPU with the reference on the whole ({@link
 * TrainingGolden#rewardStep}).
 */
class CudaRewardTest {
  @ParameterizedTest
  @ValueSource(strings = {"reward", "reward_lcm"})
  void aStepIsThatOfTheCpu(String name) {
    Emulator.require();
    TrainingGolden.smallRewardStep(Device.cuda(0).open(0), name);
  }
}
