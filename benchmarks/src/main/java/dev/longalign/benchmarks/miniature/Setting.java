package dev.longalign.benchmarks.miniature;

import dev.longalign.SampleRequest;
import dev.longalign.data.panels.CaptionedScene;
import dev.longalign.data.panels.HeldOut;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.scheduler.Scheduler;
import java.util.List;

/**
 * How a model is measured.
 *
 * @param captions which held-out captions
 * @param limit how many of them, from the first on
 * @param encoding how they reach the UNet
 * @param steps of the sampler
 * @param guidanceScale 0 for no guidance
 * @param seed of the noise of all pictures
 */
record Setting(
    Captions captions,
    int limit,
    TextEncoding encoding,
    Scheduler scheduler,
    int steps,
    float guidanceScale,
    long seed) {
  /** The two kinds of held-out captions. */
  enum Captions {
    LONG,
    SHORT
  }

  List<CaptionedScene> scenes() {
    List<CaptionedScene> all =
        captions == Captions.LONG ? HeldOut.longCaptions() : HeldOut.shortCaptions();
    return all.subList(0, Math.min(limit, all.size()));
  }

  SampleRequest request() {
    return SampleRequest.builder()
        .scheduler(scheduler)
        .steps(steps)
        .guidanceScale(guidanceScale)
        .seed(seed)
        .build();
  }

  Setting withCaptions(Captions other, int count) {
    return new Setting(other, count, encoding, scheduler, steps, guidanceScale, seed);
  }

  Setting withEncoding(TextEncoding other) {
    return new Setting(captions, limit, other, scheduler, steps, guidanceScale, seed);
  }

  Setting withSampler(Scheduler other, int count, float guidance) {
    return new Setting(captions, limit, encoding, other, count, guidance, seed);
  }
}
