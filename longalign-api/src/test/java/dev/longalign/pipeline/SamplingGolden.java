package dev.longalign.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonElement;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerRun;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * The tiny model's denoising loops against the reference, from its contexts and with its noise, for
 * the backends of all modules: {@code unipc}, 25 steps with guidance, and {@code lcm}, four
 * without.
 */
public final class SamplingGolden {
  private final Golden golden;
  private final int pictures;

  private SamplingGolden(String name, int pictures) {
    this.golden = Golden.open("sample/" + name);
    this.pictures = pictures;
  }

  /** The latents after every step, and the decoded picture; closes the backend. */
  public static void loop(Backend backend, String name, Tolerance tolerance) {
    SamplingGolden all = new SamplingGolden(name, 2);
    int steps = all.golden.values().get("num_inference_steps").getAsInt();
    all.run(backend, name, steps, tolerance, true);
  }

  /**
   * The latents of the first picture after the first steps; closes the backend. A picture does not
   * depend on the others of its batch.
   */
  public static void firstSteps(Backend backend, String name, int steps, Tolerance tolerance) {
    new SamplingGolden(name, 1).run(backend, name, steps, tolerance, false);
  }

  private void run(
      Backend backend, String name, int steps, Tolerance tolerance, boolean withPictures) {
    Path model = Golden.folder().resolve("models/tiny-longsd");
    List<ModelFiles.LoraFile> loras = new ArrayList<>();
    for (JsonElement lora : golden.values().getAsJsonArray("lora_files")) {
      loras.add(new ModelFiles.LoraFile(model.resolve(lora.getAsString()), 1));
    }
    ModelFiles files = ModelFiles.find(model, null, null, loras, false);
    try (backend) {
      Watch watch = new Watch(steps, tolerance);
      try (UNet2DCondition unet = files.loadUNet(backend, DType.F32);
          TensorScope scope = TensorScope.open()) {
        Tensor last = denoise(unet, files, name, watch);
        if (withPictures) {
          decode(backend, files, last, tolerance);
        }
      } catch (Enough enough) {
        assertThat(withPictures).as("all steps").isFalse();
      }
      assertThat(watch.seen).as("steps compared").isEqualTo(steps);
      assertThat(backend.memory().live()).as("bytes that no scope freed").isZero();
    }
  }

  private Tensor denoise(UNet2DCondition unet, ModelFiles files, String name, Watch watch) {
    Scheduler scheduler = Scheduler.valueOf(name.toUpperCase(Locale.ROOT));
    Backend backend = unet.backend();
    float guidance = golden.values().get("guidance_scale").getAsFloat();
    int all = golden.values().get("num_inference_steps").getAsInt();
    try (SchedulerRun run = scheduler.start(files.schedulerConfig(scheduler), all)) {
      Tensor unconditional = golden.tensor(backend, "unconditional_context");
      int[] drawn = {0};
      // The reference guides only above 1; below that it makes no unconditional pass.
      return new Denoiser(unet, new ReentrantLock())
          .run(
              run,
              golden.nhwc(backend, "start_noise").rows(0, pictures).scale(run.initNoiseSigma()),
              golden.tensor(backend, "conditional_context").rows(0, pictures),
              guidance > 1 ? repeated(unconditional) : null,
              guidance,
              () -> Tensor.of(backend, shape("step_noise"), step("step_noise", drawn[0]++)),
              watch);
    }
  }

  private Tensor repeated(Tensor one) {
    Tensor[] copies = new Tensor[pictures];
    Arrays.fill(copies, one);
    return Tensor.concat(0, copies);
  }

  /** Every second row and column of the first picture. */
  private void decode(Backend backend, ModelFiles files, Tensor latents, Tolerance tolerance) {
    try (AutoencoderKL vae = files.loadVae(backend, DType.F32);
        TensorScope scope = TensorScope.open()) {
      Tensor decoded = vae.decodeScaled(latents.rows(0, 1)); // [1, 128, 128, 3]
      float[] values = decoded.toFloats();
      Shape kept = Golden.nhwc(golden.shape("decoded"));
      float[] found = new float[Math.toIntExact(kept.size())];
      int width = kept.intDim(2);
      for (int i = 0; i < found.length; i++) {
        int y = i / 3 / width * 2;
        int x = i / 3 % width * 2;
        found[i] = values[(y * decoded.dim(2) + x) * 3 + i % 3];
      }
      float[] expected = Golden.toNhwc(golden.shape("decoded"), golden.floats("decoded"));
      tolerance.check("decoded", kept, expected, found);
    }
  }

  /** Of a tensor that is stored as [step, N, C, H, W]: one step of the pictures, [B, H, W, C]. */
  private float[] step(String name, int step) {
    Shape stored = golden.shape(name);
    float[] all = golden.floats(name);
    int size = all.length / stored.intDim(0);
    int some = size / stored.intDim(1) * pictures;
    return Golden.toNhwc(nchw(stored), Arrays.copyOfRange(all, step * size, step * size + some));
  }

  private Shape shape(String name) {
    return Golden.nhwc(nchw(golden.shape(name)));
  }

  private Shape nchw(Shape stored) {
    return Shape.of(pictures, stored.dim(2), stored.dim(3), stored.dim(4));
  }

  /** Compares after every step, and ends the loop after enough of them. */
  private final class Watch implements Denoiser.Observer {
    private final int steps;
    private final Tolerance tolerance;
    private int seen;

    Watch(int steps, Tolerance tolerance) {
      this.steps = steps;
      this.tolerance = tolerance;
    }

    @Override
    public void beforeStep(int step) {
      if (step == steps) {
        throw new Enough();
      }
    }

    @Override
    public void afterStep(int step, float timestep, Tensor latents, Supplier<Tensor> original) {
      assertThat(timestep)
          .isEqualTo(golden.values().getAsJsonArray("timesteps").get(step).getAsFloat());
      tolerance.check(
          "latents after step " + step, shape("latents"), step("latents", step), latents);
      seen++;
    }
  }

  private static final class Enough extends RuntimeException {
    private static final long serialVersionUID = 1;
  }
}
