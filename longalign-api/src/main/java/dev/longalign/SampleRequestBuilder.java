package dev.longalign;

import dev.longalign.scheduler.Scheduler;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.LongStream;

/** Builds a {@link SampleRequest}; what it means and may be stands there. Not thread-safe. */
public final class SampleRequestBuilder {
  private String prompt = "";
  private String negativePrompt = "";
  private Scheduler scheduler = Scheduler.UNIPC;
  private OptionalInt steps = OptionalInt.empty();
  private Optional<Float> guidanceScale = Optional.empty();
  private List<Long> seeds = List.of(SampleRequest.DEFAULT_SEED);
  private OptionalInt batchSize = OptionalInt.empty();
  private OptionalInt width = OptionalInt.empty();
  private OptionalInt height = OptionalInt.empty();
  private Optional<BufferedImage> initImage = Optional.empty();
  private float strength = SampleRequest.DEFAULT_STRENGTH;
  private float eta;
  private Generator generator = Generator.TORCH_CPU;
  private Splitter splitter = Splitter.REFERENCE;
  private boolean strict;

  SampleRequestBuilder() {}

  SampleRequestBuilder(SampleRequest from) {
    prompt = from.prompt();
    negativePrompt = from.negativePrompt();
    scheduler = from.scheduler();
    steps = from.steps();
    guidanceScale = from.guidanceScale();
    seeds = from.seeds();
    batchSize = from.batchSize();
    width = from.width();
    height = from.height();
    initImage = from.initImage();
    strength = from.strength();
    eta = from.eta();
    generator = from.generator();
    splitter = from.splitter();
    strict = from.strict();
  }

  public SampleRequestBuilder prompt(String prompt) {
    this.prompt = prompt;
    return this;
  }

  public SampleRequestBuilder negativePrompt(String negativePrompt) {
    this.negativePrompt = negativePrompt;
    return this;
  }

  public SampleRequestBuilder scheduler(Scheduler scheduler) {
    this.scheduler = scheduler;
    return this;
  }

  public SampleRequestBuilder steps(int steps) {
    this.steps = OptionalInt.of(steps);
    return this;
  }

  public SampleRequestBuilder guidanceScale(float guidanceScale) {
    this.guidanceScale = Optional.of(guidanceScale);
    return this;
  }

  /** The first picture's seed; the others, if any, get the numbers that follow. */
  public SampleRequestBuilder seed(long seed) {
    this.seeds = consecutive(seed, seeds.size());
    return this;
  }

  /** So many pictures, with the first picture's seed and the numbers that follow. */
  public SampleRequestBuilder images(int images) {
    Checks.range("images", images, 1, SampleRequest.MAX_IMAGES);
    this.seeds = consecutive(seeds.get(0), images);
    return this;
  }

  /** One picture for each seed. */
  public SampleRequestBuilder seeds(List<Long> seeds) {
    Checks.range("images", seeds.size(), 1, SampleRequest.MAX_IMAGES);
    this.seeds = List.copyOf(seeds);
    return this;
  }

  public SampleRequestBuilder batchSize(int batchSize) {
    this.batchSize = OptionalInt.of(batchSize);
    return this;
  }

  public SampleRequestBuilder width(int width) {
    this.width = OptionalInt.of(width);
    return this;
  }

  public SampleRequestBuilder height(int height) {
    this.height = OptionalInt.of(height);
    return this;
  }

  public SampleRequestBuilder size(int width, int height) {
    return width(width).height(height);
  }

  public SampleRequestBuilder initImage(BufferedImage initImage) {
    this.initImage = Optional.of(initImage);
    return this;
  }

  public SampleRequestBuilder strength(float strength) {
    this.strength = strength;
    return this;
  }

  public SampleRequestBuilder eta(float eta) {
    this.eta = eta;
    return this;
  }

  public SampleRequestBuilder generator(Generator generator) {
    this.generator = generator;
    return this;
  }

  public SampleRequestBuilder splitter(Splitter splitter) {
    this.splitter = splitter;
    return this;
  }

  public SampleRequestBuilder strict(boolean strict) {
    this.strict = strict;
    return this;
  }

  /**
   * @throws IllegalArgumentException if a value is out of its range; the message says which
   */
  public SampleRequest build() {
    return new SampleRequest(
        prompt,
        negativePrompt,
        scheduler,
        steps,
        guidanceScale,
        seeds,
        batchSize,
        width,
        height,
        initImage,
        strength,
        eta,
        generator,
        splitter,
        strict);
  }

  private static List<Long> consecutive(long first, int count) {
    return LongStream.range(0, count).mapToObj(i -> first + i).toList();
  }
}
