package dev.longalign.cli;

import dev.longalign.io.ModelDescription;
import dev.longalign.io.ModelDirectory;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * What a model directory is and what LongAlign finds in it.
 *
 * @param model its parts
 * @param missing what is not there and what that means; empty for a complete LongSD
 */
record ModelSummary(ModelDescription model, List<String> missing) {

  static ModelSummary of(Path path) {
    ModelDirectory directory = ModelDirectory.open(path);
    List<String> missing = new ArrayList<>();
    if (!directory.has("t5")) {
      missing.add(
          "t5/: give --t5 with an adapter; without both, prompts are encoded by CLIP alone");
    }
    if (!directory.has("adapter")) {
      missing.add("adapter/: give --adapter; without it T5 is not used");
    }
    if (!Files.isRegularFile(path.resolve("lora_vis.pt"))) {
      missing.add(
          "lora_vis.pt: give LongAlign's LoRA with --lora; without it this is the base model");
    }
    return new ModelSummary(directory.describe(), missing);
  }

  /** The problems of the parts that a sample needs. */
  boolean readable() {
    return model.components().stream().allMatch(component -> component.problem().isEmpty());
  }

  void print(PrintWriter out) {
    out.println(model.path() + ": " + model.pipelineClass());
    for (ModelDescription.Component component : model.components()) {
      long bytes = component.files().stream().mapToLong(ModelDescription.FileSize::bytes).sum();
      String weights =
          component
              .weights()
              .map(
                  w ->
                      String.format(
                          Locale.ROOT,
                          "%,d parameters in %d tensors, %s, %s",
                          w.parameters(),
                          w.tensors(),
                          w.dtypes().keySet(),
                          w.file()))
              .orElse(component.files().size() + " files");
      out.printf(
          Locale.ROOT,
          "  %-14s %-22s %8.1f MiB  %s%n",
          component.name(),
          component.className(),
          bytes / (double) (1 << 20),
          weights);
      if (!component.problem().isEmpty()) {
        out.println("    -> " + component.problem());
      }
    }
    missing.forEach(text -> out.println("  missing " + text));
  }
}
