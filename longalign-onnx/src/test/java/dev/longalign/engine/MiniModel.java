package dev.longalign.engine;

import dev.longalign.EmbeddedModel;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.TextAdapter;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.onnx.OnnxEncoderProvider;
import dev.longalign.pipeline.Denoiser;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.PromptEncoder;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerRun;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/** The parts of the embedded model, open: for tests that look between them. */
final class MiniModel implements AutoCloseable {
  static final int STEPS = 25;
  static final float GUIDANCE_SCALE = 3;

  final ModelFiles files;
  final Backend backend;
  final UNet2DCondition unet;
  final AutoencoderKL vae;
  final TextAdapter adapter;
  final PromptEncoder prompts;

  /**
   * @param ownLora whether the LoRA of the align stage is merged
   */
  MiniModel(boolean ownLora) {
    files = ModelFiles.find(directory(), null, null, List.of(), ownLora);
    backend = Device.cpu().open(0);
    unet = files.loadUNet(backend, DType.F32);
    vae = files.loadVae(backend, DType.F32);
    adapter = files.loadAdapter(backend);
    prompts = new PromptEncoder(new OnnxEncoderProvider(), files.textFiles(), adapter, backend, 0);
  }

  /** The reference's inputs and outputs. */
  static Golden reference() {
    Path folder = Golden.miniFolder();
    return Golden.open(folder.resolve("reference.json"), folder.resolve("reference.safetensors"));
  }

  /** The embedded model on disk; the property {@code longalign.mini.model} names another copy. */
  static Path directory() {
    String property = System.getProperty("longalign.mini.model");
    return property == null ? EmbeddedModel.directory() : Path.of(property);
  }

  /** Contexts of several prompts, [B, S, D]. */
  Tensor contexts(List<String> texts, TextEncoding encoding) {
    return Tensor.concat(
        0,
        texts.stream()
            .map(text -> prompts.encode(text, encoding, false).upload(backend))
            .toArray(Tensor[]::new));
  }

  /** Latents of as many pictures as there are prompts, with the model's own guidance and UniPC. */
  Tensor sample(
      Tensor noise, List<String> texts, TextEncoding encoding, Denoiser.Observer observer) {
    Tensor conditional = contexts(texts, encoding);
    Tensor unconditional = contexts(texts.stream().map(text -> "").toList(), encoding);
    try (SchedulerRun run = Scheduler.UNIPC.start(files.schedulerConfig(Scheduler.UNIPC), STEPS)) {
      return new Denoiser(unet, new ReentrantLock())
          .run(
              run,
              noise.scale(run.initNoiseSigma()),
              conditional,
              unconditional,
              GUIDANCE_SCALE,
              () -> {
                throw new AssertionError("UniPC draws no noise");
              },
              observer);
    }
  }

  @Override
  public void close() {
    prompts.close();
    adapter.close();
    vae.close();
    unet.close();
    backend.close();
  }
}
