package dev.longalign.training;

import dev.longalign.tensor.cpu.CpuBackend;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Stages 3 and 4 on the CPU, with a preference model on ONNX Runtime: {@link TrainingGolden}. */
class RewardGoldenTest {
  @ParameterizedTest
  @ValueSource(strings = {"reward", "reward_lcm"})
  void oneStep(String name) {
    TrainingGolden.rewardStep(new CpuBackend(1), name);
  }
}
