package dev.longalign.pipeline;

import dev.longalign.tensor.Tolerance;
import dev.longalign.tensor.cpu.CpuBackend;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whole denoising loops on the CPU: {@link SamplingGolden}. */
class SamplingGoldenTest {
  @ParameterizedTest
  @ValueSource(strings = {"unipc", "lcm"})
  void everyStepIsThatOfTheReference(String name) {
    SamplingGolden.loop(new CpuBackend(1), name, Tolerance.F32);
  }
}
