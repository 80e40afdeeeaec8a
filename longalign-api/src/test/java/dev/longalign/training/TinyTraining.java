package dev.longalign.training;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.io.Config;
import dev.longalign.io.TensorFiles;
import dev.longalign.model.Lora;
import dev.longalign.model.TextAdapterConfig;
import dev.longalign.model.TrainableLora;
import dev.longalign.model.TrainableParameter;
import dev.longalign.model.TrainableTextAdapter;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.FileWeights;
import dev.longalign.nn.LayerDropout;
import dev.longalign.nn.RandomDropout;
import dev.longalign.nn.WeightSource;
import dev.longalign.scheduler.NoiseSchedule;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.cpu.CpuBackend;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** The golden vectors' tiny model, in training. */
final class TinyTraining implements AutoCloseable {
  final Backend backend;
  final AutogradBackend autograd;
  final TrainableLora lora;
  final TrainableTextAdapter adapter;
  final UNet2DCondition unet;
  final UNet2DCondition teacher;
  final NoiseSchedule schedule = schedule();
  final TrainedModel model;

  /**
   * @param dropout of masks that were recorded, or a {@link RandomDropout}
   * @param withTeacher whether a frozen UNet without LoRA is loaded too
   */
  TinyTraining(
      String unetName,
      String loraFile,
      LayerDropout dropout,
      boolean trainAdapter,
      boolean withTeacher) {
    this(
        new CpuBackend(1), unetName, loraFile, dropout, trainAdapter, withTeacher, true, DType.F32);
  }

  private TinyTraining(
      Backend backend,
      String unetName,
      String loraFile,
      LayerDropout dropout,
      boolean trainAdapter,
      boolean withTeacher,
      boolean checkpoints,
      DType dtype) {
    this.backend = backend;
    autograd = new AutogradBackend(backend, checkpoints);
    UNet2DConditionConfig config = UNet2DConditionConfig.of(config(unetName));
    Lora initial = Lora.read(folder().resolve(loraFile), UNet2DCondition.layers(config));
    lora = TrainableLora.of(autograd, UNet2DCondition.loraLayers(config), initial, dropout);
    TextAdapterConfig adapterConfig = TextAdapterConfig.of(config("s28750_adapter"));
    adapter =
        TrainableTextAdapter.load(
            adapterConfig, weights("s28750_adapter"), autograd, DType.F32, dropout);
    unet = UNet2DCondition.load(config, weights(unetName), autograd, dtype, lora.branches());
    teacher = withTeacher ? UNet2DCondition.load(config, weights(unetName), autograd, dtype) : null;
    RandomDropout random = dropout instanceof RandomDropout r ? r : null;
    model =
        trainAdapter
            ? new TrainedModel(autograd, lora, adapter, adapterConfig, random)
            : TrainedModel.of(autograd, lora, random);
  }

  /** Stage 1 on the small UNet without dropout. */
  static TinyTraining align(LayerDropout dropout) {
    return align(new CpuBackend(1), dropout, true);
  }

  /** The same on a backend, which {@link #close} closes. */
  static TinyTraining align(Backend backend, LayerDropout dropout, boolean checkpoints) {
    return new TinyTraining(
        backend, "unet_train", "lora_train_init.pt", dropout, true, false, checkpoints, DType.F32);
  }

  /** Stage 2 on the small UNet, with its teacher; {@link #close} closes the backend. */
  static TinyTraining lcm(Backend backend) {
    return new TinyTraining(
        backend,
        "unet_train",
        "lora_train_init.pt",
        LayerDropout.NONE,
        false,
        true,
        true,
        DType.F32);
  }

  /** Stages 3 and 4 on the small UNet; {@link #close} closes the backend. */
  static TinyTraining reward(Backend backend) {
    return new TinyTraining(
        backend,
        "unet_train",
        "lora_train_init.pt",
        LayerDropout.NONE,
        false,
        false,
        true,
        DType.F32);
  }

  /** Stage 1 on the UNet of four levels. */
  static TinyTraining fourLevels(boolean checkpoints) {
    return new TinyTraining(
        new CpuBackend(1),
        "unet",
        "s28750_lora_vis.pt",
        LayerDropout.NONE,
        true,
        false,
        checkpoints,
        DType.F32);
  }

  /** The small UNet and its teacher frozen in bf16; what is trained is f32. */
  static TinyTraining bf16(boolean trainAdapter) {
    return new TinyTraining(
        new CpuBackend(1),
        "unet_train",
        "lora_train_init.pt",
        LayerDropout.NONE,
        trainAdapter,
        !trainAdapter,
        true,
        DType.BF16);
  }

  static Path folder() {
    return Golden.folder().resolve("models/tiny-longsd");
  }

  private static Config config(String name) {
    return Config.read(folder().resolve(name + "/config.json"));
  }

  static WeightSource weights(String name) {
    return new FileWeights(
        TensorFiles.open(folder().resolve(name + "/diffusion_pytorch_model.safetensors")));
  }

  private static NoiseSchedule schedule() {
    return NoiseSchedule.of(
        SchedulerConfig.read(folder().resolve("scheduler/scheduler_config.json"), Scheduler.DDIM)
            .noise());
  }

  /** One of {@code [step, N, C, H, W]}, as [N, H, W, C]. */
  Tensor step(Golden golden, String name, int step) {
    Shape all = golden.shape(name);
    Shape one = Shape.of(all.dim(1), all.dim(2), all.dim(3), all.dim(4));
    int size = Math.toIntExact(one.size());
    float[] values = Arrays.copyOfRange(golden.floats(name), step * size, (step + 1) * size);
    return Tensor.of(autograd, Golden.nhwc(one), Golden.toNhwc(one, values));
  }

  Map<String, TrainableParameter> parameters() {
    Map<String, TrainableParameter> all = new LinkedHashMap<>();
    model.parameters().forEach(p -> all.put(p.name(), p));
    return all;
  }

  static int[] ints(JsonElement array) {
    JsonArray list = array.getAsJsonArray();
    int[] ints = new int[list.size()];
    Arrays.setAll(ints, i -> list.get(i).getAsInt());
    return ints;
  }

  /** A number of the JSON file, which may stand alone or beside its meaning. */
  static double number(Golden golden, String key) {
    JsonElement found = value(golden.values(), key);
    return found.getAsDouble();
  }

  static JsonElement value(JsonObject values, String key) {
    JsonElement found = values.get(key);
    return found.isJsonObject() && found.getAsJsonObject().has("value")
        ? found.getAsJsonObject().get("value")
        : found;
  }

  @Override
  public void close() {
    if (teacher != null) {
      teacher.close();
    }
    unet.close();
    adapter.close();
    lora.close();
    long live = backend.memory().live();
    autograd.close();
    if (live != 0) {
      throw new AssertionError(live + " bytes that no scope freed");
    }
  }
}
