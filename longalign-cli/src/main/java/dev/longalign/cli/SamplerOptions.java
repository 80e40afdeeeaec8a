package dev.longalign.cli;

import dev.longalign.Generator;
import dev.longalign.SampleRequestBuilder;
import dev.longalign.scheduler.Scheduler;
import java.util.function.Consumer;
import picocli.CommandLine.Option;

/** How to sample, whatever the prompts are. */
class SamplerOptions {
  @Option(
      names = "--scheduler",
      description =
          "One of: ${COMPLETION-CANDIDATES}. Default: the model's own, unipc if it has none.")
  Scheduler scheduler;

  @Option(
      names = "--karras",
      negatable = true,
      description =
          "Noise levels after Karras et al. (unipc, euler, euler_ancestral, dpmpp_2m), or not."
              + " Default: as the model's scheduler_config.json says.")
  Boolean karras;

  @Option(
      names = "--steps",
      description = "1 to 1000. Default: the model's own, else 25, for lcm 4.")
  Integer steps;

  @Option(
      names = "--guidance",
      description = "Guidance scale. Default: the model's own, else 7.5, for lcm 0.")
  Float guidance;

  @Option(
      names = "--seed",
      converter = SeedOption.class,
      description = "The first picture's seed, to 2^64-1; after that comes 0. Default: 42.")
  Long seed;

  @Option(names = "--batch", description = "Pictures at once. Default: as fits.")
  Integer batch;

  @Option(names = "--eta", description = "Of --scheduler ddim: 0 (deterministic) to 1. Default: 0.")
  Float eta;

  @Option(
      names = "--generator",
      description =
          "Noise as torch makes it, one of: ${COMPLETION-CANDIDATES}. Default: torch_cpu.")
  Generator generator;

  /**
   * Puts what was given into a request.
   *
   * @throws IllegalArgumentException if something was given that has no effect
   */
  final void apply(SampleRequestBuilder builder) {
    if (eta != null && scheduler != Scheduler.DDIM) {
      throw new IllegalArgumentException(
          "--eta: expected --scheduler ddim with it, which is the only one that has an eta");
    }
    set(scheduler, builder::scheduler);
    set(karras, builder::karrasSigmas);
    set(steps, builder::steps);
    set(guidance, builder::guidanceScale);
    set(seed, builder::seed);
    set(batch, builder::batchSize);
    set(eta, builder::eta);
    set(generator, builder::generator);
  }

  static <T> void set(T value, Consumer<T> setter) {
    if (value != null) {
      setter.accept(value);
    }
  }
}
