package dev.longalign.training.export;

import dev.longalign.data.panels.HeldOut;
import dev.longalign.io.ShellCommand;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.ModelPart;
import dev.longalign.pipeline.SamplingDefaults;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/**
 * The command that samples with an export as the training had it: the base, the LoRAs that were
 * merged into it, the new one, adapter and sampler. It can be pasted into a shell.
 *
 * @param shown the words, from paths as they are to be shown
 */
record SamplingCommand(Function<UnaryOperator<Path>, ShellCommand> shown) {

  /** With paths as they were given. */
  String text() {
    return shown.apply(path -> path).toString();
  }

  /** With paths as they are seen from a directory. */
  String textIn(Path directory) {
    Path from = directory.toAbsolutePath().normalize();
    return shown
        .apply(
            path -> {
              Path seen = from.relativize(path.toAbsolutePath().normalize());
              return seen.toString().isEmpty() ? Path.of(".") : seen;
            })
        .toString();
  }

  /** A model directory that has everything. */
  static SamplingCommand ofModel(Path directory, ModelFiles base) {
    return new SamplingCommand(
        shown ->
            new ShellCommand("longalign", "sample")
                .option("--model", shown.apply(directory))
                .last(prompt(ModelPart.isEmbedded(base.model().path()))));
  }

  /**
   * @param base that was trained on; the model in the jar needs no naming
   * @param lora the new one
   * @param adapter a new one; empty: the base's
   * @param sampled with
   */
  static SamplingCommand ofLora(
      ModelFiles base, Path lora, Optional<Path> adapter, SamplingDefaults sampled) {
    return new SamplingCommand(shown -> words(base, lora, adapter, sampled, shown));
  }

  private static ShellCommand words(
      ModelFiles base,
      Path lora,
      Optional<Path> adapter,
      SamplingDefaults sampled,
      UnaryOperator<Path> shown) {
    Path model = base.model().path();
    boolean embedded = ModelPart.isEmbedded(model);
    ShellCommand command = new ShellCommand("longalign", "sample");
    if (!embedded) {
      command.option("--model", shown.apply(model));
    }
    base.t5()
        .filter(t5 -> !is(t5, model.resolve("t5")))
        .ifPresent(t5 -> command.option("--t5", shown.apply(t5)));
    adapter
        .or(() -> base.adapter().filter(own -> !is(own, model.resolve("adapter"))))
        .ifPresent(used -> command.option("--adapter", shown.apply(used)));
    List<ModelFiles.LoraFile> loras = base.loras();
    boolean own =
        !loras.isEmpty()
            && loras.get(0).scale() == 1
            && is(loras.get(0).file(), ModelFiles.ownLora(model));
    if (own) {
      command.add("--own-lora");
    }
    for (ModelFiles.LoraFile merged : loras.subList(own ? 1 : 0, loras.size())) {
      String scale = merged.scale() == 1 ? "" : ":" + merged.scale();
      command.option("--lora", shown.apply(merged.file()) + scale);
    }
    command.option("--lora", shown.apply(lora));
    sampler(command, base.defaults(), sampled);
    return command.last(prompt(embedded));
  }

  private static void sampler(ShellCommand command, SamplingDefaults own, SamplingDefaults wanted) {
    if (wanted.scheduler() != own.scheduler()) {
      command.option("--scheduler", wanted.scheduler().name().toLowerCase(Locale.ROOT));
    }
    if (wanted.scheduler() != own.scheduler() || wanted.steps() != own.steps()) {
      command.option("--steps", wanted.steps());
    }
    if (wanted.guidanceScale() != own.guidanceOf(wanted.scheduler())) {
      command.option("--guidance", wanted.guidanceScale());
    }
  }

  /** The model in the jar knows one world only. */
  private static String prompt(boolean panels) {
    return panels ? HeldOut.longCaptions().get(0).caption() : "A long prompt. With many sentences.";
  }

  private static boolean is(Path path, Path other) {
    return path.toAbsolutePath().normalize().equals(other.toAbsolutePath().normalize());
  }
}
