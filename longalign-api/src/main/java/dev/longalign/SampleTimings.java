package dev.longalign;

import java.time.Duration;

/**
 * Where the time of one request went, or a picture's share of it: of pictures that went through the
 * network together, each has the same part of the steps' time; the first has the encoding.
 *
 * @param encode tokenizing and encoding the prompts
 * @param denoise all steps of all batches
 * @param decode latents to pictures
 * @param steps how many steps {@code denoise} holds, over all batches
 */
public record SampleTimings(Duration encode, Duration denoise, Duration decode, int steps) {

  SampleTimings plus(SampleTimings more) {
    return new SampleTimings(
        encode.plus(more.encode),
        denoise.plus(more.denoise),
        decode.plus(more.decode),
        steps + more.steps);
  }

  public Duration total() {
    return encode.plus(denoise).plus(decode);
  }

  /** Seconds of one denoising step of one batch (a picture's share of it); 0 without steps. */
  public double secondsPerStep() {
    return steps == 0 ? 0 : denoise.toNanos() * 1e-9 / steps;
  }
}
