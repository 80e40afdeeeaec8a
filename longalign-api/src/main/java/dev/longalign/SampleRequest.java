package dev.longalign;

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
 * @param scheduler the sampler
 * @param steps 1 to 1000; empty means 4 for LCM and 25 for the others
 * @param guidanceScale 0 (and 1) means no unconditional pass; empty means 0 for LCM and else the
 *     model's own, 7.5 if it has none; 8.5 for a UNet that is told the guidance scale, which never
 *     needs that pass
 * @param seeds one per picture; a picture depends on its seed alone, not on its neighbours
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
    Scheduler scheduler,
    OptionalInt steps,
    Optional<Float> guidanceScale,
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
    Objects.requireNonNull(scheduler, "scheduler: expected one of the enum, found null");
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

  /** The steps asked for, or the scheduler's usual number. */
  public int effectiveSteps() {
    return steps.orElse(scheduler == Scheduler.LCM ? 4 : 25);
  }

  /** The guidance asked for, or 0 for LCM, which has it distilled, or the model's. */
  public float effectiveGuidanceScale(float modelGuidanceScale) {
    return guidanceScale.orElse(scheduler == Scheduler.LCM ? 0f : modelGuidanceScale);
  }

  /**
   * This request with everything decided, as it goes into a result and a PNG.
   *
   * @param modelGuidanceScale what the model samples best with
   * @param modelWidth pixels of the model's own size
   * @param modelHeight as {@code modelWidth}
   */
  public SampleRequest resolve(float modelGuidanceScale, int modelWidth, int modelHeight) {
    return toBuilder()
        .steps(effectiveSteps())
        .guidanceScale(effectiveGuidanceScale(modelGuidanceScale))
        .size(width.orElse(modelWidth), height.orElse(modelHeight))
        .build();
  }
}
