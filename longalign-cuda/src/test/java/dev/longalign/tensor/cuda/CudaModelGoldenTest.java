package dev.longalign.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonElement;
import dev.longalign.io.Config;
import dev.longalign.io.TensorFiles;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.AutoencoderKLConfig;
import dev.longalign.model.PreparedContext;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.FileWeights;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;

/** The tiny models on the emulator, against the reference implementation. */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class CudaModelGoldenTest {
  private static final Golden FORWARD = Golden.open("unet/forward");
  private static final Golden VAE = Golden.open("unet/vae");

  private static Backend backend;

  @BeforeAll
  static void open() {
    Emulator.require();
    backend = Device.cuda(0).open(0);
  }

  @AfterAll
  static void close() {
    if (backend != null) {
      assertThat(backend.memory().live()).as("bytes that no scope freed").isZero();
      backend.close();
    }
  }

  private static Config config(String model) {
    return Config.read(folder(model).resolve("config.json"));
  }

  private static FileWeights weights(String model) {
    return new FileWeights(
        TensorFiles.open(folder(model).resolve("diffusion_pytorch_model.safetensors")));
  }

  private static Path folder(String model) {
    return Golden.folder().resolve("models/tiny-longsd").resolve(model);
  }

  private static UNet2DCondition unet(DType dtype) {
    return UNet2DCondition.load(
        UNet2DConditionConfig.of(config("unet")), weights("unet"), backend, dtype);
  }

  /** The first timesteps: the others run the same kernels on the same shapes. */
  @Test
  void theUnetPredictsWhatTheReferencePredicts() {
    try (UNet2DCondition unet = unet(DType.F32);
        TensorScope scope = TensorScope.open()) {
      PreparedContext context = unet.prepareContext(FORWARD.tensor(backend, "context"));
      Tensor sample = FORWARD.nhwc(backend, "sample");
      List<Map.Entry<String, JsonElement>> timesteps =
          FORWARD.values().getAsJsonObject("timesteps").entrySet().stream()
              .filter(entry -> entry.getValue().isJsonPrimitive())
              .limit(2)
              .toList();
      assertThat(timesteps).hasSize(2);
      for (Map.Entry<String, JsonElement> entry : timesteps) {
        Tensor out = unet.forward(sample, entry.getValue().getAsFloat(), context);
        FORWARD.checkNhwc(Tolerance.F32, "out_" + entry.getKey(), out);
      }
      OperationCost conv = backend.costs().get("conv2d");
      assertThat(conv.flops()).isPositive();
      assertThat(conv.seconds()).isPositive();
    }
  }

  @Test
  void theUnetTakesSidesThatAreNotMultiplesOfEight() {
    try (UNet2DCondition unet = unet(DType.F32);
        TensorScope scope = TensorScope.open()) {
      PreparedContext context = unet.prepareContext(FORWARD.tensor(backend, "context"));
      Tensor out = unet.forward(FORWARD.nhwc(backend, "odd_sample"), 321, context.rows(0, 1));
      FORWARD.checkNhwc(Tolerance.F32, "odd_out", out);
    }
  }

  /** Through the tensor cores' kernels. */
  @Test
  void theUnetInBf16IsCloseToTheReference() {
    try (UNet2DCondition unet = unet(DType.BF16);
        TensorScope scope = TensorScope.open()) {
      PreparedContext context =
          unet.prepareContext(FORWARD.tensor(backend, "context").cast(DType.BF16));
      Tensor sample = FORWARD.nhwc(backend, "sample").cast(DType.BF16);
      String name = FORWARD.values().getAsJsonObject("timesteps").keySet().iterator().next();
      float timestep = FORWARD.values().getAsJsonObject("timesteps").get(name).getAsFloat();
      Tensor out = unet.forward(sample, timestep, context).cast(DType.F32);
      FORWARD.checkNhwc(Tolerance.relative(5e-2), "out_" + name, out);
    }
  }

  @Test
  void theDecoderMakesThePicturesOfTheReference() {
    try (AutoencoderKL vae =
            AutoencoderKL.load(
                AutoencoderKLConfig.of(config("vae")), weights("vae"), backend, DType.F32);
        TensorScope scope = TensorScope.open()) {
      VAE.checkNhwc(Tolerance.F32, "decoded", vae.decodeScaled(VAE.nhwc(backend, "latents")));
    }
  }
}
