package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.io.PictureFile;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.pipeline.Denoiser;
import dev.longalign.pipeline.PictureDecoder;
import dev.longalign.random.NoiseSource;
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
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Samples the same prompts with the same seeds again and again, with the networks in training, so
 * that one sees what they learn: {@code validation/step-00000500/00.png} and so on in the run's
 * directory. Sampling is the pipeline's; each picture is sampled by itself, so memory is that of
 * one.
 */
public final class PictureValidation implements Validation {
  private static final Logger LOG = LoggerFactory.getLogger(PictureValidation.class);

  private final UNet2DCondition unet;
  private final UnaryOperator<Tensor> adapter;
  private final Denoiser denoiser;
  private final PictureDecoder decoder;
  private final SchedulerConfig schedulerConfig;
  private final Settings settings;
  private final Path directory;
  private final Function<List<String>, ExampleEncoder.Texts> encoder;
  private final List<Text> texts = new ArrayList<>();
  private boolean warned;

  /** A prompt and the seed of its noise. */
  public record Prompt(String text, long seed) {}

  /**
   * @param guidanceScale 1 samples the conditional part only
   * @param height of the latents
   * @param width of the latents
   */
  public record Settings(
      List<Prompt> prompts,
      Scheduler scheduler,
      int steps,
      float guidanceScale,
      int height,
      int width) {
    public Settings {
      prompts = List.copyOf(prompts);
      if (prompts.isEmpty()
          || steps < 1
          || !Float.isFinite(guidanceScale)
          || height < 1
          || width < 1) {
        throw new LongAlignException(
            "validation: expected prompts, at least one step, a finite guidance scale and latents"
                + " of at least one pixel, found "
                + prompts.size()
                + ", "
                + steps
                + ", "
                + guidanceScale
                + " and "
                + height
                + " x "
                + width);
      }
    }
  }

  /** What frozen encoders made of a text, kept outside of the backend's memory. */
  private record Text(Shape clipShape, float[] clip, Shape t5Shape, float[] t5) {}

  /**
   * @param unet in training
   * @param adapter from T5's hidden states to the context's width, in training or frozen
   * @param vae loaded on the same backend
   * @param schedulerConfig for the scheduler of the settings
   * @param encoder from captions to both halves of their contexts; called once a text
   * @param run the run's directory
   */
  public PictureValidation(
      UNet2DCondition unet,
      UnaryOperator<Tensor> adapter,
      AutoencoderKL vae,
      SchedulerConfig schedulerConfig,
      Function<List<String>, ExampleEncoder.Texts> encoder,
      Settings settings,
      Path run) {
    this.unet = unet;
    this.adapter = adapter;
    this.denoiser = new Denoiser(unet, new ReentrantLock());
    this.decoder = new PictureDecoder(vae);
    this.schedulerConfig = schedulerConfig;
    this.encoder = encoder;
    this.settings = settings;
    this.directory = run.resolve("validation");
  }

  @Override
  public ValidationReport validate(long step) {
    if (texts.isEmpty()) {
      encode();
    }
    Path folder = folder(step);
    List<ValidationReport.Picture> pictures = new ArrayList<>();
    for (int i = 0; i < settings.prompts.size(); i++) {
      Prompt prompt = settings.prompts.get(i);
      BufferedImage image = sample(texts.get(i), texts.get(texts.size() - 1), prompt.seed());
      String name = name(i);
      Path file = write(folder, name + ".png", image, prompt);
      pictures.add(new ValidationReport.Picture(name, prompt.text(), prompt.seed(), image, file));
    }
    return new ValidationReport(step, pictures, Map.of());
  }

  private Path folder(long step) {
    return directory.resolve(String.format(Locale.ROOT, "step-%08d", step));
  }

  private static String name(int picture) {
    return String.format(Locale.ROOT, "%02d", picture);
  }

  /** Whether all of its pictures are there. */
  @Override
  public boolean isMade(long step) {
    return IntStream.range(0, settings.prompts.size())
        .allMatch(i -> Files.isRegularFile(folder(step).resolve(name(i) + ".png")));
  }

  /** Those of the prompts, then the empty one. */
  private void encode() {
    List<Text> encoded = new ArrayList<>();
    settings.prompts.forEach(prompt -> encoded.add(encode(prompt.text())));
    encoded.add(encode(""));
    texts.addAll(encoded);
  }

  private Text encode(String text) {
    try (TensorScope scope = TensorScope.open()) {
      ExampleEncoder.Texts both = encoder.apply(List.of(text));
      return new Text(
          both.clip().shape(), both.clip().toFloats(), both.t5().shape(), both.t5().toFloats());
    }
  }

  private BufferedImage sample(Text text, Text empty, long seed) {
    Backend backend = unet.backend();
    Shape shape = Shape.of(1, settings.height, settings.width, unet.config().inChannels());
    NoiseSource noise = new TorchGenerator(seed);
    try (TensorScope scope = TensorScope.open();
        SchedulerRun run = settings.scheduler.start(schedulerConfig, settings.steps)) {
      Tensor start =
          RandomTensors.randn(backend, noise, shape).scale(run.initNoiseSigma()); // [1, h, w, C]
      Tensor latents =
          denoiser.run(
              run,
              start,
              context(text),
              settings.guidanceScale == 1 ? null : context(empty),
              settings.guidanceScale,
              () -> RandomTensors.randn(backend, noise, shape),
              Denoiser.Observer.NONE);
      return decoder.decode(latents).get(0);
    }
  }

  private Tensor context(Text text) { // [1, 2 L, D]
    Backend backend = unet.backend();
    return Draws.context(
        new ExampleEncoder.Texts(
            Tensor.of(backend, text.clipShape, text.clip),
            Tensor.of(backend, text.t5Shape, text.t5)),
        adapter);
  }

  /** Null if the disk does not take it, which is warned of once. */
  private Path write(Path folder, String name, BufferedImage image, Prompt prompt) {
    Path file = folder.resolve(name);
    try {
      Files.createDirectories(folder);
      PictureFile.writePng(file, image, Map.of("prompt", prompt.text()));
      return file;
    } catch (IOException | LongAlignException e) {
      if (!warned) {
        warned = true;
        LOG.warn("{} cannot be written; training goes on without it", file, e);
      }
      return null;
    }
  }
}
