package dev.longalign.engine;

import dev.longalign.LongAlign;
import dev.longalign.Precision;
import dev.longalign.SampleRequest;
import dev.longalign.SampleRequestBuilder;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import java.util.List;
import org.junit.jupiter.api.Assumptions;

/** Engines over the embedded model, and requests for them. */
final class Engines {
  static final List<String> PROMPTS =
      List.of(
          "There is a large red circle in the center. The background is white.",
          "A small blue square is placed in the upper left. A large green ring is placed in the"
              + " lower right. Everything is set against a plain pale grey background.",
          "The middle left cell holds a large cyan diamond with crisp, even edges. There is a small"
              + " black cross in the upper right. The background is pale blue.");

  private Engines() {}

  /** Skips the test, saying so, where the processor does not compute in the precision. */
  static LongAlign build(Precision precision) {
    try (Backend cpu = Device.cpu().open(0)) {
      Assumptions.assumeTrue(
          cpu.supports(precision.dtype()), cpu.name() + " does not compute in " + precision);
    }
    return LongAlign.builder().precision(precision).build();
  }

  static boolean cpuHasBf16() {
    try (Backend cpu = Device.cpu().open(0)) {
      return cpu.supports(DType.BF16);
    }
  }

  /** A request of few steps: for tests of everything but the picture's quality. */
  static SampleRequestBuilder quick(int prompt, int steps) {
    return SampleRequest.of(PROMPTS.get(prompt)).toBuilder().steps(steps);
  }
}
