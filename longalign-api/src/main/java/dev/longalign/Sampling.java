package dev.longalign;

import dev.longalign.pipeline.Denoiser;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.PictureDecoder;
import dev.longalign.pipeline.Pictures;
import dev.longalign.pipeline.PromptEncoder;
import dev.longalign.random.NoiseSource;
import dev.longalign.random.PhiloxGenerator;
import dev.longalign.random.RandomTensors;
import dev.longalign.random.TorchGenerator;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.scheduler.SchedulerRun;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.awt.image.BufferedImage;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.locks.Lock;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.function.Supplier;

/** One request, from its prompts to its pictures. */
final class Sampling {
  /** Latents of a batch when the request does not say: what four pictures of 512 x 512 have. */
  private static final int BATCH_LATENTS = 4 * 64 * 64;

  /**
   * On a CPU, of pictures that are handed over one by one: one of 512 x 512 fills the machine, and
   * the first is not to wait for others.
   */
  private static final int CPU_BATCH_LATENTS = 64 * 64;

  /** The most such pictures in a batch: more small ones gain nothing. */
  private static final int BATCH_PICTURES = 8;

  private final Backend backend;
  private final Denoiser denoiser;
  private final PictureDecoder decoder;
  private final Lock turn;
  private final ModelFiles files;
  private final int latentChannels;
  private final int downscale;
  private final BiFunction<String, Splitter, PromptEncoder.Encoding> encode;

  Sampling(
      Backend backend,
      Denoiser denoiser,
      PictureDecoder decoder,
      Lock turn,
      ModelFiles files,
      int latentChannels,
      int downscale,
      BiFunction<String, Splitter, PromptEncoder.Encoding> encode) {
    this.backend = backend;
    this.denoiser = denoiser;
    this.decoder = decoder;
    this.turn = turn;
    this.files = files;
    this.latentChannels = latentChannels;
    this.downscale = downscale;
    this.encode = encode;
  }

  /**
   * @throws LongAlignException if the scheduler cannot take the request's steps
   */
  void check(SampleRequest request) {
    start(request).close();
  }

  /**
   * @param request with everything decided
   * @param provenance asked when the pictures are there
   * @param checkCancelled throws if the call has been cancelled
   * @param onPicture gets each picture as soon as it is decoded, in the order of the seeds
   * @return the whole, without its pictures
   */
  SampleResult run(
      SampleRequest request,
      Supplier<Provenance> provenance,
      Runnable checkCancelled,
      Consumer<SampleStep> onStep,
      Consumer<SampleResult> onPicture) {
    long begin = System.nanoTime();
    PromptEncoder.Encoding prompt = encoded(request.prompt(), request);
    PromptEncoder.Encoding negative = negative(request);
    long encoded = System.nanoTime();

    Duration encoding = Duration.ofNanos(encoded - begin);
    SampleTimings total = new SampleTimings(encoding, Duration.ZERO, Duration.ZERO, 0);
    int latentsAtOnce = backend.name().startsWith("cpu") ? CPU_BATCH_LATENTS : BATCH_LATENTS;
    int batchSize = batchSize(request, Math.min(request.images(), BATCH_PICTURES), latentsAtOnce);
    int batches = (request.images() + batchSize - 1) / batchSize;
    for (int from = 0; from < request.images(); from += batchSize) {
      List<Long> seeds =
          request.seeds().subList(from, Math.min(from + batchSize, request.images()));
      checkCancelled.run();
      long batchBegins = System.nanoTime();
      try (TensorScope scope = TensorScope.open();
          SchedulerRun run = start(request)) {
        Noise noise =
            new Noise(
                seeds.stream().map(seed -> generator(request, seed)).toList(),
                latentShape(request));
        Tensor start = startLatents(request, run, noise);
        int done = total.steps();
        Denoiser.Observer observer =
            new Denoiser.Observer() {
              @Override
              public void beforeStep(int step) {
                checkCancelled.run();
              }

              @Override
              public void afterStep(
                  int step, float timestep, Tensor latents, Supplier<Tensor> original) {
                onStep.accept(
                    new SampleStep(
                        done + step + 1,
                        batches * run.steps(),
                        timestep,
                        seeds,
                        () -> decoder.decode(original.get())));
              }
            };
        Tensor latents =
            denoiser.run(
                run,
                start,
                repeated(prompt, seeds.size()),
                negative == null ? null : repeated(negative, seeds.size()),
                request.guidanceScale().orElseThrow(),
                noise::draw,
                observer);
        // Cancelled or not, what all steps are made for becomes a picture.
        Duration denoising = Duration.ofNanos(System.nanoTime() - batchBegins);
        total = total.plus(new SampleTimings(Duration.ZERO, denoising, Duration.ZERO, run.steps()));
        for (int i = 0; i < seeds.size(); i++) {
          long decodingBegins = System.nanoTime();
          List<BufferedImage> picture = decode(latents.rows(i, i + 1L));
          Duration decoding = Duration.ofNanos(System.nanoTime() - decodingBegins);
          total = total.plus(new SampleTimings(Duration.ZERO, Duration.ZERO, decoding, 0));
          onPicture.accept(
              new SampleResult(
                  picture,
                  request.toBuilder().seeds(seeds.subList(i, i + 1)).build(),
                  prompt.report(),
                  provenance.get().decoded(decoder.tiled()),
                  new SampleTimings(
                      from + i == 0 ? encoding : Duration.ZERO,
                      denoising.dividedBy(seeds.size()),
                      decoding,
                      run.steps()),
                  decoder.tiled()));
        }
      }
    }
    return new SampleResult(
        List.of(),
        request,
        prompt.report(),
        provenance.get().decoded(decoder.tiled()),
        total,
        decoder.tiled());
  }

  /**
   * One picture for each prompt, several at once through the network.
   *
   * @param request with everything decided; its prompt is not used, its first seed is that of the
   *     one generator of all noise
   * @param onPictures is told how many are done, after every batch
   */
  List<BufferedImage> runAll(List<String> prompts, SampleRequest request, IntConsumer onPictures) {
    PromptEncoder.Encoding negative = negative(request);
    NoiseSource generator = generator(request, request.seeds().get(0));
    int batchSize = batchSize(request, prompts.size(), BATCH_LATENTS);
    List<BufferedImage> pictures = new ArrayList<>();
    for (int from = 0; from < prompts.size(); from += batchSize) {
      List<String> batch = prompts.subList(from, Math.min(from + batchSize, prompts.size()));
      try (TensorScope scope = TensorScope.open();
          SchedulerRun run = start(request)) {
        Noise noise = new Noise(Collections.nCopies(batch.size(), generator), latentShape(request));
        Tensor latents =
            denoiser.run(
                run,
                startLatents(request, run, noise),
                uploaded(batch.stream().map(prompt -> encoded(prompt, request)).toList()),
                negative == null ? null : repeated(negative, batch.size()),
                request.guidanceScale().orElseThrow(),
                noise::draw,
                Denoiser.Observer.NONE);
        pictures.addAll(decode(latents));
      }
      onPictures.accept(pictures.size());
    }
    return pictures;
  }

  private PromptEncoder.Encoding encoded(String prompt, SampleRequest request) {
    PromptEncoder.Encoding encoding = encode.apply(prompt, request.splitter());
    if (request.strict()) {
      encoding.report().requireComplete();
    }
    return encoding;
  }

  /** What to move away from; null without guidance or with guidance that is distilled. */
  private PromptEncoder.Encoding negative(SampleRequest request) {
    return request.guidanceScale().orElseThrow() > 1 && !denoiser.unet().hasGuidanceEmbedding()
        ? encoded(request.negativePrompt(), request)
        : null;
  }

  private List<BufferedImage> decode(Tensor latents) {
    turn.lock();
    try {
      return decoder.decode(latents);
    } finally {
      turn.unlock();
    }
  }

  private SchedulerRun start(SampleRequest request) {
    Scheduler scheduler = request.scheduler().orElseThrow();
    SchedulerConfig config = files.schedulerConfig(scheduler);
    if (scheduler == Scheduler.DDIM) {
      config = config.withEta(request.eta());
    }
    if (request.karrasSigmas().isPresent()) {
      config = config.withKarrasSigmas(request.karrasSigmas().get());
    }
    int steps = request.steps().orElseThrow();
    if (request.initImage().isEmpty()) {
      return scheduler.start(config, steps);
    }
    // 0.9f is less than 0.9, and would leave 17 instead of 18 of 20 steps.
    double strength = Double.parseDouble(Float.toString(request.strength()));
    return denoiser.unet().hasGuidanceEmbedding()
        ? scheduler.start(config, steps, strength)
        : scheduler.startLast(config, steps, strength);
  }

  private Tensor startLatents(SampleRequest request, SchedulerRun run, Noise noise) {
    if (request.initImage().isEmpty()) {
      return noise.draw().scale(run.initNoiseSigma());
    }
    Tensor ofPicture = noise.draw(); // diffusers draws the picture's latents before the noise
    turn.lock();
    try {
      Tensor picture =
          Pictures.toTensor(
              backend,
              request.initImage().get(),
              request.width().orElseThrow(),
              request.height().orElseThrow());
      return run.addNoise(decoder.encode(picture, ofPicture), noise.draw(), 0);
    } finally {
      turn.unlock();
    }
  }

  private Tensor repeated(PromptEncoder.Encoding encoding, int times) {
    Tensor one = encoding.upload(backend);
    return Tensor.concat(0, Collections.nCopies(times, one).toArray(Tensor[]::new));
  }

  private Tensor uploaded(List<PromptEncoder.Encoding> encodings) {
    return Tensor.concat(
        0, encodings.stream().map(one -> one.upload(backend)).toArray(Tensor[]::new));
  }

  private Shape latentShape(SampleRequest request) {
    return Shape.of(
        1,
        request.height().orElseThrow() / downscale,
        request.width().orElseThrow() / downscale,
        latentChannels);
  }

  /**
   * @param most pictures of a batch that the request does not ask for
   */
  private int batchSize(SampleRequest request, int most, int latentsAtOnce) {
    Shape latents = latentShape(request);
    int fitting = Math.max(1, latentsAtOnce / (latents.intDim(1) * latents.intDim(2)));
    return request.batchSize().orElse(Math.min(fitting, most));
  }

  private static NoiseSource generator(SampleRequest request, long seed) {
    return switch (request.generator()) {
      case TORCH_CPU -> new TorchGenerator(seed);
      case TORCH_CUDA -> new PhiloxGenerator(seed);
    };
  }

  /**
   * Noise of a batch, picture by picture.
   *
   * @param sources a generator a picture: with one of its own, its neighbours do not matter
   * @param shape of one picture's latents
   */
  private final class Noise {
    private final List<NoiseSource> sources;
    private final Shape shape;

    Noise(List<NoiseSource> sources, Shape shape) {
      this.sources = sources;
      this.shape = shape;
    }

    /** N(0, 1), [images, h, w, C]. */
    Tensor draw() {
      return Tensor.concat(
          0,
          sources.stream()
              .map(source -> RandomTensors.randn(backend, source, shape))
              .toArray(Tensor[]::new));
    }
  }
}
