package dev.longalign;

import dev.longalign.scheduler.Scheduler;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.LongStream;

/** Builds a {@link SampleRequest}; what it means and may be stands there. Not thread-safe. */
public final class SampleRequestBuilder {
  // Null: not said. What reads a picture's settings fills in these and leaves the others.
  String prompt;
  String negativePrompt;
  Scheduler scheduler;
  Integer steps;
  Float guidanceScale;
  Boolean karrasSigmas;
  Long seed;
  Integer images;
  List<Long> seeds;
  Integer batchSize;
  Integer width;
  Integer height;
  BufferedImage initImage;
  Float strength;
  Float eta;
  Generator generator;
  Splitter splitter;
  Boolean strict;

  SampleRequestBuilder() {}

  SampleRequestBuilder(SampleRequest from) {
    prompt = from.prompt();
    negativePrompt = from.negativePrompt();
    scheduler = from.scheduler().orElse(null);
    steps = boxed(from.steps());
    guidanceScale = from.guidanceScale().orElse(null);
    karrasSigmas = from.karrasSigmas().orElse(null);
    seeds = from.seeds();
    batchSize = boxed(from.batchSize());
    width = boxed(from.width());
    height = boxed(from.height());
    initImage = from.initImage().orElse(null);
    strength = from.strength();
    eta = from.eta();
    generator = from.generator();
    splitter = from.splitter();
    strict = from.strict();
  }

  private static Integer boxed(OptionalInt value) {
    return value.isPresent() ? (Integer) value.getAsInt() : null;
  }

  public SampleRequestBuilder prompt(String prompt) {
    this.prompt =
        Objects.requireNonNull(prompt, "prompt: expected a text, found null; \"\" is a prompt too");
    return this;
  }

  public SampleRequestBuilder negativePrompt(String negativePrompt) {
    this.negativePrompt =
        Objects.requireNonNull(negativePrompt, "negativePrompt: expected a text, found null");
    return this;
  }

  public SampleRequestBuilder scheduler(Scheduler scheduler) {
    this.scheduler =
        Objects.requireNonNull(scheduler, "scheduler: expected one of the enum, found null");
    return this;
  }

  public SampleRequestBuilder steps(int steps) {
    this.steps = steps;
    return this;
  }

  public SampleRequestBuilder guidanceScale(float guidanceScale) {
    this.guidanceScale = guidanceScale;
    return this;
  }

  public SampleRequestBuilder karrasSigmas(boolean karrasSigmas) {
    this.karrasSigmas = karrasSigmas;
    return this;
  }

  /**
   * The first picture's seed; the others, if any, get the numbers that follow. All 64 bits count:
   * {@code Long.parseUnsignedLong} gives seeds from 2^63 to 2^64 - 1, and 0 follows the last.
   */
  public SampleRequestBuilder seed(long seed) {
    this.seed = seed;
    images = seeds == null ? images : (Integer) seeds.size();
    seeds = null;
    return this;
  }

  /** So many pictures, with the first picture's seed and the numbers that follow. */
  public SampleRequestBuilder images(int images) {
    Checks.range("images", images, 1, SampleRequest.MAX_IMAGES);
    this.images = images;
    seed = seeds == null ? seed : seeds.get(0);
    seeds = null;
    return this;
  }

  /** One picture for each seed. */
  public SampleRequestBuilder seeds(List<Long> seeds) {
    this.seeds = List.copyOf(seeds);
    return this;
  }

  public SampleRequestBuilder batchSize(int batchSize) {
    this.batchSize = batchSize;
    return this;
  }

  public SampleRequestBuilder width(int width) {
    this.width = width;
    return this;
  }

  public SampleRequestBuilder height(int height) {
    this.height = height;
    return this;
  }

  public SampleRequestBuilder size(int width, int height) {
    return width(width).height(height);
  }

  public SampleRequestBuilder initImage(BufferedImage initImage) {
    this.initImage = Objects.requireNonNull(initImage, "initImage: expected a picture, found null");
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
    this.generator =
        Objects.requireNonNull(generator, "generator: expected one of the enum, found null");
    return this;
  }

  public SampleRequestBuilder splitter(Splitter splitter) {
    this.splitter =
        Objects.requireNonNull(splitter, "splitter: expected one of the enum, found null");
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
        or(prompt, ""),
        or(negativePrompt, ""),
        Optional.ofNullable(scheduler),
        optional(steps),
        Optional.ofNullable(guidanceScale),
        Optional.ofNullable(karrasSigmas),
        seeds == null ? consecutive(or(seed, SampleRequest.DEFAULT_SEED), or(images, 1)) : seeds,
        optional(batchSize),
        optional(width),
        optional(height),
        Optional.ofNullable(initImage),
        or(strength, SampleRequest.DEFAULT_STRENGTH),
        or(eta, 0f),
        or(generator, Generator.TORCH_CPU),
        or(splitter, Splitter.REFERENCE),
        or(strict, false));
  }

  private static <T> T or(T said, T otherwise) {
    return said == null ? otherwise : said;
  }

  private static OptionalInt optional(Integer value) {
    return value == null ? OptionalInt.empty() : OptionalInt.of(value);
  }

  private static List<Long> consecutive(long first, int count) {
    return LongStream.range(0, count).mapToObj(i -> first + i).toList();
  }
}
