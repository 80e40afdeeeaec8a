package dev.longalign.cli;

import dev.longalign.Precision;
import dev.longalign.cli.bench.Measurement;
import dev.longalign.cli.bench.ModelBench;
import dev.longalign.cli.bench.TextBench;
import dev.longalign.cli.bench.TrainBench;
import java.io.PrintWriter;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.TypeConversionException;

/** {@code longalign bench}: how fast this machine is, and how near that is to its roof. */
@Command(
    name = "bench",
    sortOptions = false,
    description =
        "Times one denoising step (unet), decoding one picture (vae), encoding captions (encode) or"
            + " one training step of stage 1 (train-step: loss, gradients and AdamW for a LoRA on all"
            + " its layers and the text adapter), and measures the roof in the same run: the bare products and convolutions of the"
            + " same shapes.")
final class BenchCommand implements Callable<Integer> {
  /** What can be timed. */
  enum Subject {
    unet,
    vae,
    encode,
    trainStep("train-step");

    private final String label;

    Subject() {
      label = name();
    }

    Subject(String label) {
      this.label = label;
    }

    @Override
    public String toString() {
      return label;
    }
  }

  /** By label. */
  static final class SubjectConverter implements ITypeConverter<Subject> {
    @Override
    public Subject convert(String value) {
      for (Subject subject : Subject.values()) {
        if (subject.label.equals(value)) {
          return subject;
        }
      }
      throw new TypeConversionException(
          "expected one of " + Arrays.toString(Subject.values()) + ", found " + value);
    }
  }

  @Mixin CommonOptions common;

  @Parameters(
      paramLabel = "WHAT",
      converter = SubjectConverter.class,
      description = "One of: ${COMPLETION-CANDIDATES}.")
  Subject what;

  @Option(
      names = "--config",
      paramLabel = "sd15|mini|DIR",
      defaultValue = "mini",
      description =
          "sd15: Stable Diffusion 1.5's shapes with random weights, no files needed; mini: the model"
              + " in the jar; or a diffusers directory. Default: mini.")
  String config;

  @Option(
      names = "--precision",
      defaultValue = "f32",
      description = "One of: ${COMPLETION-CANDIDATES}. Default: f32.")
  Precision precision;

  @Mixin DeviceOption on;

  @Option(
      names = "--batch",
      description =
          "Latents in a step; guidance makes two of one picture. Default: 2; 1 for train-step.")
  Integer batch;

  @Option(
      names = "--size",
      description = "Side of the picture in pixels. Default: the model's own.")
  int size;

  @Option(
      names = "--runs",
      defaultValue = "5",
      description = "Timed runs after one that compiles; the median counts. Default: 5.")
  int runs;

  @Option(
      names = "--rank",
      defaultValue = "32",
      description = "train-step: rank of the LoRA. Default: 32.")
  int rank;

  @Option(
      names = "--checkpointing",
      negatable = true,
      defaultValue = "true",
      fallbackValue = "true",
      description =
          "train-step: whether blocks are computed again in the backward pass, which saves memory."
              + " Default: they are.")
  boolean checkpointing;

  @Override
  public Integer call() {
    ModelBench.Settings settings =
        new ModelBench.Settings(
            config, on.device, on.threads, precision.dtype(), batch(), size, runs);
    Measurement measured;
    common.stage("loading model");
    try (Signals.Work work = common.interruptible();
        Progress progress = common.progress("bench " + what, runs + 2L)) {
      Runnable step =
          () -> {
            common.check();
            progress.step();
          };
      measured =
          switch (what) {
            case unet -> ModelBench.unet(settings, step);
            case vae -> ModelBench.vae(settings, step);
            case encode -> TextBench.encode(settings, step);
            case trainStep ->
                TrainBench.step(settings, new TrainBench.Training(rank, checkpointing), step);
          };
    }
    if (common.json) {
      common.printJson(measured);
    } else {
      print(measured);
    }
    return ExitCode.OK;
  }

  private int batch() {
    return batch != null ? batch : what == Subject.trainStep ? 1 : 2;
  }

  private void print(Measurement m) {
    PrintWriter out = common.out();
    out.println(m.subject() + " on " + m.backend());
    out.printf(
        Locale.ROOT,
        "%.3f s a step (median of %d; fastest %.3f)%n",
        m.secondsPerStep(),
        m.runs().size(),
        m.runs().stream().mapToDouble(Double::doubleValue).min().orElse(Double.NaN));
    if (m.gflops() != null) {
      out.printf(
          Locale.ROOT,
          "%.0f GFLOP/s (%.3f TFLOP a step); the roof of bare products and convolutions is %.0f:"
              + " %.0f %% of it%n",
          m.gflops(),
          m.tflopPerStep(),
          m.roofGflops(),
          100 * m.roofRatio());
    }
    out.printf(Locale.ROOT, "peak %.2f GiB of native memory%n", m.peakBytes() / 0x1p30);
    if (m.training() != null) {
      print(m.training(), m.secondsPerStep());
    }
    List<Map.Entry<String, Measurement.Share>> shares =
        m.operations().entrySet().stream()
            .sorted((a, b) -> Double.compare(b.getValue().seconds(), a.getValue().seconds()))
            .toList();
    double total = m.runs().stream().mapToDouble(Double::doubleValue).average().orElseThrow();
    for (Map.Entry<String, Measurement.Share> share : shares) {
      Measurement.Share s = share.getValue();
      out.printf(
          Locale.ROOT,
          "  %-16s %4d calls %8.3f s %5.1f %%%s%n",
          share.getKey(),
          s.calls(),
          s.seconds(),
          100 * s.seconds() / total,
          s.gflops() > 0 ? String.format(Locale.ROOT, " %6.0f GFLOP/s", s.gflops()) : "");
    }
    out.flush();
  }

  private void print(Measurement.Training t, double seconds) {
    PrintWriter out = common.out();
    out.printf(
        Locale.ROOT,
        "  heap %.2f GiB%s; %.1f million parameters in training%n",
        t.heapPeakBytes() / 0x1p30,
        t.residentPeakBytes() == null
            ? ""
            : String.format(
                Locale.ROOT, ", process %.2f GiB with loading", t.residentPeakBytes() / 0x1p30),
        t.parameters() * 1e-6);
    out.printf(
        Locale.ROOT,
        "TFLOP: forward %.3f, backward %.3f, computed a second time %.3f%n",
        t.forwardTflop(),
        t.backwardTflop(),
        t.repeatedTflop());
    out.printf(
        Locale.ROOT,
        "floor %.3f s (forward and backward at the roof, nothing twice): %.3f s is %.2f times that;"
            + " %.1f CPU seconds in the last step%n",
        t.floorSeconds(),
        seconds,
        t.floorRatio(),
        t.cpuSeconds());
  }
}
