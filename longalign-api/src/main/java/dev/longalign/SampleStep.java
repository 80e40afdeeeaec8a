package dev.longalign;

import java.awt.image.BufferedImage;
import java.util.List;
import java.util.function.Supplier;

/**
 * One denoising step that has just ended.
 *
 * @param number from 1 to {@code of}, over all batches of the request
 * @param of how many steps the whole request takes
 * @param timestep where in the noise schedule the step began (999 is noise, 0 is the picture)
 * @param seeds the seeds of the pictures in this batch
 * @param previews decodes what the network now thinks the pictures are, one per seed; costs a
 *     decoding, and may be called only while the listener is
 */
public record SampleStep(
    int number, int of, double timestep, List<Long> seeds, Supplier<List<BufferedImage>> previews) {

  public SampleStep {
    Checks.range("step", number, 1, of);
    seeds = List.copyOf(seeds);
  }

  /** The preview of the batch's first picture. */
  public BufferedImage preview() {
    return previews.get().get(0);
  }
}
