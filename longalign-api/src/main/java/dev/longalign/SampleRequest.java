package dev.longalign;

import dev.longalign.pipeline.SamplingDefaults;
import dev.longalign.scheduler.Scheduler;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What to sample. Immutable (the init image is not copied; do not draw on it while it is in use).
 *
 * <pre>{@code
 * SampleRequest request = SampleRequest.of(longText).toBuilder()
 *     .scheduler(Scheduler.UNIPC).steps(25).guidanceScale(7.5f).seed(42).images(4).build();
 * }</pre>
 *
 * <p>What is empty is decided by the model or the scheduler; {@link #resolve} fills it in.
 * Arguments that no model could accept are refused here with an {@link IllegalArgumentException}.
 *
 * @param prompt any length, any Unicode; it is encoded by segments
 * @param negativePrompt what to move away from, encoded by segments too; {@code ""} for none
 * @param scheduler the sampler; empty means the model's own, UniPC if it has none
 * @param steps 1 to 1000; empty means the model's own, or 4 for LCM and 25 for the others
 * @param guidanceScale 0 (and 1) means no unconditional pass; empty means the model's own, or 0 for
 *     LCM and 7.5 for the others; 8.5 for a UNet that is told the guidance scale, which never needs
 *     that pass
 * @param karrasSigmas whether noise levels are spread after Karras et al. (2022); empty means as
 *     the model's noise schedule says; LCM, DDIM and DDPM ignore it
 * @param seeds one per picture, 64 bits that are read as unsigned: -1 is 2^64 - 1, as for torch. A
 *     picture depends on its seed alone, not on its neighbours
 * @param batchSize how many pictures go through the network at once; empty means as fits
 * @param width pixels, a multiple of 8 from 8 to 8192; empty means the model's own
 * @param height as {@code width}
 * @param initImage the picture to start from (img2img), scaled to the size asked for
 * @param strength with an init image: 0 exclusive (keep it) to 1 (ignore it); so much of the steps
 *     is taken
 * @param eta DDIM: 0 (deterministic) to 1 (as DDPM); the others ignore it
 * @param generator the source of noise
 * @param splitter how prompts are cut into segments
 * @param strict a prompt of which a token would not reach the network is refused
 */
public record SampleRequest(
    String prompt,
    String negativePrompt,
    Optional<Scheduler> scheduler,
    OptionalInt steps,
    Optional<Float> guidanceScale,
    Optional<Boolean> karrasSigmas,
    List<Long> seeds,
    OptionalInt batchSize,
    OptionalInt width,
    OptionalInt height,
    Optional<BufferedImage> initImage,
    float strength,
    float eta,
    Generator generator,
    Splitter splitter,
    boolean strict) {

  /** The seed of a request that names none: LongAlign's own. */
  public static final long DEFAULT_SEED = 42;

  public static final float DEFAULT_STRENGTH = 0.8f;

  static final int MAX_IMAGES = 10_000;

  public SampleRequest {
    Objects.requireNonNull(prompt, "prompt: expected a text, found null; \"\" is a prompt too");
    Objects.requireNonNull(negativePrompt, "negativePrompt: expected a text, found null");
    Objects.requireNonNull(scheduler, "scheduler: expected an Optional, found null");
    Objects.requireNonNull(karrasSigmas, "karrasSigmas: expected an Optional, found null");
    Objects.requireNonNull(generator, "generator: expected one of the enum, found null");
    Objects.requireNonNull(splitter, "splitter: expected one of the enum, found null");
    Objects.requireNonNull(initImage, "initImage: expected an Optional, found null");
    steps.ifPresent(n -> Checks.range("steps", n, 1, 1000));
    guidanceScale.ifPresent(g -> Checks.range("guidanceScale", g, 0f, 1000f));
    seeds = List.copyOf(seeds);
    Checks.range("images", seeds.size(), 1, MAX_IMAGES);
    batchSize.ifPresent(n -> Checks.range("batchSize", n, 1, MAX_IMAGES));
    width.ifPresent(n -> Checks.pictureSide("width", n));
    height.ifPresent(n -> Checks.pictureSide("height", n));
    Checks.range("strength", strength, Float.MIN_VALUE, 1f);
    Checks.range("eta", eta, 0f, 1f);
  }

  /** A request with every default: seed 42, UniPC, the model's guidance and size. */
  public static SampleRequest of(String prompt) {
    return builder().prompt(prompt).build();
  }

  /**
   * The request that repeats a PNG's picture, from the settings inside.
   *
   * @throws LongAlignException if the file does not say how it was made, or it was made from
   *     another picture, which is not inside ({@link PictureSettings#read} gives the rest of the
   *     request)
   */
  public static SampleRequest fromPng(Path png) {
    PictureSettings settings = PictureSettings.read(png);
    if (settings.fromInitImage()) {
      throw new LongAlignException(
          png
              + ": made from another picture, which is not inside; use PictureSettings.read and add"
              + " it with toBuilder().initImage(...)");
    }
    return settings.request();
  }

  public static SampleRequestBuilder builder() {
    return new SampleRequestBuilder();
  }

  public SampleRequestBuilder toBuilder() {
    return new SampleRequestBuilder(this);
  }

  /** How many pictures. */
  public int images() {
    return seeds.size();
  }

  /** The request with the model's values in place of what it leaves open. */
  SampleRequest resolve(SamplingDefaults model, int modelWidth, int modelHeight) {
    Scheduler sampler = scheduler.orElse(model.scheduler());
    return toBuilder()
        .scheduler(sampler)
        .steps(steps.orElse(model.stepsOf(sampler)))
        .guidanceScale(guidanceScale.orElse(model.guidanceOf(sampler)))
        .size(width.orElse(modelWidth), height.orElse(modelHeight))
        .build();
  }
}
