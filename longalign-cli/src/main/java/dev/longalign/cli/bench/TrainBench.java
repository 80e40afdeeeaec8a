package dev.longalign.cli.bench;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.Reasons;
import dev.longalign.model.TextAdapterConfig;
import dev.longalign.model.TrainableLora;
import dev.longalign.model.TrainableTextAdapter;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.RandomDropout;
import dev.longalign.nn.RandomWeights;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.PromptEncoder;
import dev.longalign.random.RandomTensors;
import dev.longalign.random.TorchGenerator;
import dev.longalign.scheduler.NoiseSchedule;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.training.AlignObjective;
import dev.longalign.training.Loss;
import dev.longalign.training.Optimizer;
import dev.longalign.training.StepInputs;
import dev.longalign.training.TrainedModel;
import dev.longalign.training.TrainerSettings;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Times one optimiser step of stage 1, with random weights and inputs. */
public final class TrainBench {
  private static final long SEED = 1;
  private static final float DROPOUT = 0.1f;

  /** What only a forward pass runs: in a backward pass, a checkpointed block runs it again. */
  private static final Set<String> FORWARD = Set.of("linear", "conv2d", "geglu", "attention");

  private TrainBench() {}

  /**
   * @param rank of the LoRA
   * @param checkpointing whether blocks are computed again in the backward pass
   */
  public record Training(int rank, boolean checkpointing) {}

  /** Arithmetic by phase, summed over steps. */
  private static final class Phases {
    private final Backend backend;
    private int steps;
    private double forward;
    private double backward;
    private double repeated;
    private long cpuNanos;

    Phases(Backend backend) {
      this.backend = backend;
    }

    void add(
        Map<String, OperationCost> start,
        Map<String, OperationCost> between,
        Map<String, OperationCost> end) {
      steps++;
      between.forEach((name, cost) -> forward += cost.since(start.get(name)).flops());
      end.forEach(
          (name, cost) -> {
            double flops = cost.since(between.get(name)).flops();
            if (name.equals(OperationCost.REPEATED)) {
              backward -= flops; // its operation counts it too
              repeated += flops;
            } else if (FORWARD.contains(name)) {
              repeated += flops;
            } else {
              backward += flops;
            }
          });
    }
  }

  /** A step on a batch of latents, LongAlign's 480 tokens of context and an adapter in training. */
  public static Measurement step(
      ModelBench.Settings settings, Training training, Runnable progress) {
    UNet2DConditionConfig config = settings.unet();
    TextAdapterConfig adapterConfig = adapter(settings, config);
    RandomDropout dropout = new RandomDropout(DROPOUT, SEED);
    try (AutogradBackend autograd = new AutogradBackend(settings.open(), training.checkpointing());
        TrainableLora lora =
            TrainableLora.create(
                autograd,
                UNet2DCondition.loraLayers(config),
                training.rank(),
                new TorchGenerator(SEED),
                dropout);
        TrainableTextAdapter adapter =
            TrainableTextAdapter.load(
                adapterConfig, new RandomWeights(SEED), autograd, settings.dtype(), dropout);
        UNet2DCondition unet =
            UNet2DCondition.load(
                config, new RandomWeights(SEED), autograd, settings.dtype(), lora.branches())) {
      TrainedModel model = new TrainedModel(autograd, lora, adapter, adapterConfig, dropout);
      AlignObjective<Void> objective =
          new AlignObjective<>(
              unet,
              adapter::forward,
              NoiseSchedule.of(SchedulerConfig.stableDiffusion(Scheduler.DDIM).noise()),
              null,
              new AlignObjective.Settings(0, 0));
      try (TensorScope scope = TensorScope.open();
          Optimizer optimizer =
              new Optimizer(
                  autograd,
                  model.parameters(),
                  TrainerSettings.DEFAULT.withLearningRate(3e-5, 0))) {
        StepInputs inputs = inputs(settings, autograd, config, adapterConfig);
        Phases phases = new Phases(autograd);
        Measurement measured =
            Runs.measure(
                subject(settings, training, inputs),
                autograd,
                settings.runs(),
                () -> once(objective, inputs, optimizer, autograd, phases),
                progress);
        long parameters =
            model.parameters().stream().mapToLong(p -> p.value().shape().size()).sum();
        return measured.with(summary(measured, phases, parameters));
      }
    }
  }

  private static void once(
      AlignObjective<Void> objective,
      StepInputs inputs,
      Optimizer optimizer,
      AutogradBackend autograd,
      Phases phases) {
    long cpu = cpuNanos();
    Map<String, OperationCost> start = phases.backend.costs();
    Loss loss = objective.loss(inputs);
    Map<String, OperationCost> between = phases.backend.costs();
    optimizer.add(loss.backward(autograd, 1));
    phases.add(start, between, phases.backend.costs());
    optimizer.step(optimizer.norm(), phases.steps);
    phases.cpuNanos = cpuNanos() - cpu;
  }

  private static long cpuNanos() {
    return ManagementFactory.getOperatingSystemMXBean()
            instanceof com.sun.management.OperatingSystemMXBean system
        ? system.getProcessCpuTime()
        : -1;
  }

  private static TextAdapterConfig adapter(
      ModelBench.Settings settings, UNet2DConditionConfig unet) {
    TextAdapterConfig published =
        new TextAdapterConfig(1024, 1280, unet.crossAttentionDim()); // of T5-large
    if (settings.config().equals("sd15")) {
      return published;
    }
    return ModelFiles.find(settings.directory(), null, null, List.of(), false)
        .adapter()
        .map(directory -> TextAdapterConfig.of(ComponentDirectory.open(directory).config()))
        .orElse(published);
  }

  private static StepInputs inputs(
      ModelBench.Settings settings,
      AutogradBackend autograd,
      UNet2DConditionConfig unet,
      TextAdapterConfig adapter) {
    int batch = settings.batch();
    int side = settings.latentSize();
    TorchGenerator random = new TorchGenerator(SEED);
    Shape latents = Shape.of(batch, side, side, unet.inChannels());
    int[] timesteps = new int[batch];
    Arrays.fill(timesteps, 500);
    int tokens = PromptEncoder.TOKEN_LENGTH;
    return new StepInputs(
        List.of("bench"),
        Map.of(
            "latents", RandomTensors.randn(autograd, random, latents),
            "noise", RandomTensors.randn(autograd, random, latents),
            "clip", text(autograd, random, batch, tokens, unet.crossAttentionDim()),
            "t5", text(autograd, random, batch, tokens, adapter.inDim())),
        Map.of("timesteps", timesteps));
  }

  private static Tensor text(
      AutogradBackend autograd, TorchGenerator random, long batch, long tokens, long width) {
    return RandomTensors.randn(autograd, random, Shape.of(batch, 1, tokens, width))
        .reshape(batch, tokens, width);
  }

  private static String subject(
      ModelBench.Settings settings, Training training, StepInputs inputs) {
    return "training step "
        + settings.config()
        + " "
        + settings.dtype()
        + " latents "
        + inputs.tensor("latents").shape()
        + " LoRA of rank "
        + training.rank()
        + (training.checkpointing() ? ", checkpointed" : ", not checkpointed");
  }

  private static Measurement.Training summary(
      Measurement measured, Phases phases, long parameters) {
    double forward = phases.forward / phases.steps * 1e-12;
    double backward = phases.backward / phases.steps * 1e-12;
    double floor = (forward + backward) * 1e3 / measured.roofGflops();
    return new Measurement.Training(
        forward,
        backward,
        phases.repeated / phases.steps * 1e-12,
        parameters,
        floor,
        measured.secondsPerStep() / floor,
        phases.cpuNanos * 1e-9,
        heapPeak(),
        residentPeak());
  }

  private static long heapPeak() {
    return ManagementFactory.getMemoryPoolMXBeans().stream()
        .filter(pool -> pool.getType() == MemoryType.HEAP)
        .mapToLong(pool -> pool.getPeakUsage().getUsed())
        .sum();
  }

  /** Linux tells; others do not. */
  private static Long residentPeak() {
    Path status = Path.of("/proc/self/status");
    if (!Files.isReadable(status)) {
      return null;
    }
    try {
      return Files.readAllLines(status).stream()
          .filter(line -> line.startsWith("VmHWM:"))
          .map(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
          .findFirst()
          .orElse(null);
    } catch (IOException e) {
      throw new LongAlignException(status + " cannot be read: " + Reasons.of(e), e);
    }
  }
}
