package dev.longalign.cli.verify;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.autograd.Gradients;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.model.Lora;
import dev.longalign.model.TextAdapterConfig;
import dev.longalign.model.TrainableLora;
import dev.longalign.model.TrainableParameter;
import dev.longalign.model.TrainableTextAdapter;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.LayerDropout;
import dev.longalign.scheduler.NoiseSchedule;
import dev.longalign.scheduler.PredictionType;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.training.AlignObjective;
import dev.longalign.training.LcmObjective;
import dev.longalign.training.Loss;
import dev.longalign.training.StepInputs;
import dev.longalign.training.TrainedModel;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * {@code align} and {@code lcm}: the loss of the first step, and the gradient of every tensor that
 * is trained.
 */
final class TrainingCases implements CaseSource {
  private static final double LOSS = 1e-5;
  private static final double GRADIENT = 1e-3;

  private final Bench bench;
  private final Vectors vectors;
  private final boolean lcm;
  private final Path model;
  private AutogradBackend autograd;
  private TrainableLora lora;
  private TrainableTextAdapter adapter;
  private UNet2DCondition unet;
  private UNet2DCondition teacher;

  TrainingCases(Bench bench, Vectors vectors, boolean lcm) {
    this.bench = bench;
    this.vectors = vectors;
    this.lcm = lcm;
    this.model = bench.model(vectors);
  }

  @Override
  public List<VerifyCase> cases() {
    return List.of(
        new VerifyCase(
            lcm ? "lcm" : "align",
            vectors.name() + (vectors.hasValue("losses") ? ".steps" : ".step"),
            this::run));
  }

  private void run(Comparison comparison) {
    load();
    boolean several = vectors.hasValue("losses");
    Map<String, Tensor> sums = new LinkedHashMap<>();
    int count = several ? vectors.value("losses").getAsJsonArray().size() : 1;
    for (int i = 0; i < count; i++) {
      Loss loss = lcm ? lcm() : align(i);
      double expected =
          several
              ? vectors.value("losses").getAsJsonArray().get(i).getAsDouble()
              : vectors.value("loss").getAsDouble();
      comparison.close("loss " + i, expected, loss.value(), LOSS);
      Gradients gradients = loss.backward(autograd, 1f / count);
      for (TrainableParameter p : parameters()) {
        Tensor gradient = gradients.of(p.value());
        Tensor sum = sums.putIfAbsent(p.name(), gradient);
        if (sum != null) {
          autograd.training().accumulate(sum, 1, gradient);
        }
      }
    }
    for (String name : vectors.names()) {
      if (name.startsWith("grad:")) {
        Tensor found = sums.get(name.substring("grad:".length()));
        comparison.close(vectors, name, found.reshape(vectors.shape(name).toArray()), GRADIENT);
      }
    }
    if (vectors.hasValue("grad_digests")) {
      digests(sums, comparison);
    }
  }

  private void digests(Map<String, Tensor> sums, Comparison comparison) {
    JsonObject digests = vectors.value("grad_digests").getAsJsonObject().getAsJsonObject("digests");
    for (Map.Entry<String, JsonElement> entry : digests.entrySet()) {
      JsonObject expected = entry.getValue().getAsJsonObject();
      Digest found = Digest.of(sums.get(entry.getKey()).toFloats());
      String name = "gradient of " + entry.getKey();
      double allowed = GRADIENT * expected.get("l2").getAsDouble();
      comparison.close(name + " l2", expected.get("l2").getAsDouble(), found.l2(), allowed);
      comparison.close(
          name + " pattern_dot",
          expected.get("pattern_dot").getAsDouble(),
          found.patternDot(),
          allowed);
    }
  }

  private List<TrainableParameter> parameters() {
    ComponentDirectory directory = ComponentDirectory.open(bench.adapter(model));
    return (lcm
            ? TrainedModel.of(autograd, lora, null)
            : new TrainedModel(
                autograd, lora, adapter, TextAdapterConfig.of(directory.config()), null))
        .parameters();
  }

  private void load() {
    autograd = new AutogradBackend(bench.backend(), true);
    LayerDropout dropout =
        vectors.names().stream().anyMatch(name -> name.startsWith("mask:"))
            ? this::masked
            : LayerDropout.NONE;
    Path component = bench.part(vectors, "unet_train");
    UNet2DConditionConfig config = UNetCases.config(component);
    String file = Values.found("(\\w+\\.pt)\\b", vectors.prose()).get(0);
    Lora initial = Lora.read(model.resolve(file), UNet2DCondition.layers(config));
    lora = TrainableLora.of(autograd, UNet2DCondition.loraLayers(config), initial, dropout);
    unet =
        UNet2DCondition.load(
            config, Bench.weights(component), autograd, DType.F32, lora.branches());
    if (lcm) {
      teacher = UNet2DCondition.load(config, Bench.weights(component), autograd, DType.F32);
    } else {
      Path directory = bench.adapter(model);
      adapter =
          TrainableTextAdapter.load(
              TextAdapterConfig.of(ComponentDirectory.open(directory).config()),
              Bench.weights(directory),
              autograd,
              DType.F32,
              dropout);
    }
  }

  private NoiseSchedule schedule() {
    return NoiseSchedule.of(
        SchedulerConfig.read(model.resolve("scheduler/scheduler_config.json"), Scheduler.DDIM)
            .noise());
  }

  private Loss align(int step) {
    int[] timesteps =
        Values.ints(vectors.value("timesteps").getAsJsonArray().get(step).getAsJsonArray());
    return new AlignObjective<>(
            unet, adapter::forward, schedule(), null, new AlignObjective.Settings(0, 0))
        .loss(
            new StepInputs(
                List.of(vectors.name()),
                Map.of(
                    "latents", vectors.nhwc(autograd, "latents"),
                    "noise", vectors.nhwcRow(autograd, "noise", step),
                    "clip", vectors.tensor(autograd, "clip"),
                    "t5", vectors.tensor(autograd, "t5")),
                Map.of("timesteps", timesteps)));
  }

  private Loss lcm() {
    Vectors inputs =
        vectors.hasValue("inputs_file")
            ? Vectors.open(
                vectors
                    .directory()
                    .resolve(
                        vectors
                            .value("inputs_file")
                            .getAsString()
                            .replace(".safetensors", ".json")))
            : vectors;
    boolean velocity = vectors.name().toLowerCase(Locale.ROOT).contains("v_prediction");
    LcmObjective.Settings d = LcmObjective.Settings.DEFAULT;
    LcmObjective.Settings settings =
        new LcmObjective.Settings(
            velocity ? PredictionType.V_PREDICTION : PredictionType.EPSILON,
            d.guidanceScale(),
            d.ddimSteps(),
            d.firstTimestep(),
            d.huber());
    return new LcmObjective<>(
            autograd, unet, teacher, UnaryOperator.identity(), schedule(), null, settings)
        .loss(
            new StepInputs(
                List.of(vectors.name()),
                Map.of(
                    "latents", inputs.nhwc(autograd, "latents"),
                    "noise", inputs.nhwc(autograd, "noise"),
                    "context", inputs.tensor(autograd, "context"),
                    "unconditional", inputs.tensor(autograd, "unconditional")),
                Map.of("timesteps", Values.ints(vectors.value("start_timesteps")))));
  }

  /** A recorded mask, in the reference's layout. */
  private Tensor masked(String layer, Tensor x) {
    String name = "mask:" + (layer.startsWith("ff") ? "adapter." + layer : layer);
    boolean picture = vectors.shape(name).rank() == 4;
    Tensor mask = picture ? vectors.nhwc(autograd, name) : vectors.tensor(autograd, name);
    return x.multiply(mask.scale(1 / 0.9f).reshape(x.shape().toArray()));
  }

  @Override
  public void close() {
    for (AutoCloseable part : new AutoCloseable[] {teacher, unet, adapter, lora}) {
      try {
        if (part != null) {
          part.close();
        }
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }
  }
}
