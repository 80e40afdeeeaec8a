package dev.longalign.model;

import dev.longalign.io.Config;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.nn.FileWeights;
import dev.longalign.nn.WeightSource;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.cpu.CpuBackend;
import java.nio.file.Path;

/** The tiny pipeline that the golden vectors were made with. */
final class TestModels {
  private TestModels() {}

  /**
   * One thread: the models are tiny, and threads that wait for each other cost more than they gain.
   */
  static Backend backend() {
    return new CpuBackend(1);
  }

  static Path folder() {
    return Golden.folder().resolve("models/tiny-longsd");
  }

  static Config config(String model) {
    return Config.read(folder().resolve(model + "/config.json"));
  }

  static TensorFile file(String model) {
    return TensorFiles.open(folder().resolve(model + "/diffusion_pytorch_model.safetensors"));
  }

  static WeightSource weights(String model) {
    return new FileWeights(file(model));
  }

  static UNet2DCondition unet(Backend backend) {
    return UNet2DCondition.load(
        UNet2DConditionConfig.of(config("unet")), weights("unet"), backend, DType.F32);
  }
}
