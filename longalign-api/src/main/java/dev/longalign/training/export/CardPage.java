package dev.longalign.training.export;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.training.TrainedModel;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The model card for people: Markdown, with the front matter of the Hugging Face Hub. */
final class CardPage {
  private final ExportSettings settings;
  private final ModelCard card;
  private final JsonObject json;
  private final List<ExportedFile> files;
  private final String command;
  private final boolean model;
  private final StringBuilder text = new StringBuilder();

  /**
   * @param json the card for programs
   * @param command samples with the files, in their directory
   */
  CardPage(
      ExportSettings settings,
      ModelCard card,
      JsonObject json,
      List<ExportedFile> files,
      String command) {
    this.settings = settings;
    this.card = card;
    this.json = json;
    this.files = files;
    this.command = command;
    this.model = has("model_index.json");
  }

  String markdown() {
    frontMatter();
    line("# " + oneLine(card.title()));
    line("");
    line(
        model
            ? "Stable Diffusion with LoRAs merged into its UNet, trained for long captions with"
                + " LongAlign ([paper](https://arxiv.org/abs/2410.11817))."
            : "A LoRA for Stable Diffusion, trained for long captions with LongAlign"
                + " ([paper](https://arxiv.org/abs/2410.11817)).");
    if (!card.notes().isBlank()) {
      line("");
      line(card.notes().strip());
    }
    use();
    training();
    base();
    files();
    return text.toString();
  }

  private void line(String line) {
    text.append(line).append('\n');
  }

  private static String oneLine(String text) {
    return text.replaceAll("\\s+", " ").strip();
  }

  /** JSON's strings are YAML's, too. */
  private static String quoted(String text) {
    return new com.google.gson.Gson().toJson(oneLine(text));
  }

  private void frontMatter() {
    line("---");
    if (!card.license().isEmpty()) {
      line("license: " + quoted(card.license()));
    }
    if (card.baseModel().matches("[\\w.-]+/[\\w.-]+")) {
      line("base_model: " + quoted(card.baseModel()));
    }
    line("library_name: diffusers");
    line("pipeline_tag: text-to-image");
    line("tags:");
    for (String tag : List.of("text-to-image", "stable-diffusion", "longalign")) {
      line("- " + tag);
    }
    if (!model) {
      line("- lora");
    }
    line("---");
    line("");
  }

  private boolean has(String name) {
    return files.stream().anyMatch(file -> file.file().startsWith(name));
  }

  // ---- how to use it

  private void use() {
    line("");
    line("## Use");
    line("");
    boolean adapter = has(TrainedModel.ADAPTER_DIRECTORY + "/");
    line("In this directory:");
    line("");
    code("sh", command);
    if (model) {
      code("java", "LongAlign.builder().model(Path.of(\"DIR\")).build();");
      line("Diffusers loads the directory too, but reads the first 77 tokens of a prompt only:");
      line("");
      code("python", "pipe = StableDiffusionPipeline.from_pretrained(\"DIR\")");
      return;
    }
    line(
        "It samples on "
            + oneLine(json.getAsJsonObject("base").get("name").getAsString())
            + " as the training did. Paths in it are those of the machine that wrote this card.");
    line("");
    if (has(ExportFormat.DIFFUSERS.file(""))) {
      code(
          "python",
          "pipe.load_lora_weights(\"DIR\", weight_name=\"pytorch_lora_weights.safetensors\")");
    }
    if (has(ExportFormat.PEFT.file(""))) {
      code("python", "pipe.unet = PeftModel.from_pretrained(pipe.unet, \"DIR\")");
    }
    String kohya = ExportFormat.KOHYA.file(settings.name());
    if (has(kohya)) {
      line("Programs that read kohya's LoRA files take `" + kohya + "`.");
      line("");
    }
    if (has(ExportFormat.MERGED.file("") + "/")) {
      line("`merged` is a complete model, and has its own card.");
      line("");
    }
    line(
        "Programs other than LongAlign cut prompts after 77 tokens, or read them in chunks, and do"
            + " not use the text adapter"
            + (adapter ? "" : " of the base")
            + ": the LoRA helps them less.");
  }

  private void code(String language, String code) {
    line("```" + language);
    line(code);
    line("```");
    line("");
  }

  // ---- where it comes from

  private void training() {
    line("");
    line("## Training");
    line("");
    JsonObject software = json.getAsJsonObject("software");
    JsonObject training = json.getAsJsonObject("training");
    if (training == null) {
      JsonObject from = json.getAsJsonObject("from");
      line(
          from == null
              ? "Nothing is known."
              : "Converted from `"
                  + from.get("file").getAsString()
                  + "` (SHA-256 `"
                  + from.get("sha256").getAsString()
                  + "`)"
                  + (from.has("card") ? "; its own card is quoted in " + CardJson.FILE : "")
                  + ".");
      line("");
    } else {
      List<String[]> rows = new ArrayList<>();
      rows.add(new String[] {"stage", card.stage()});
      rows.add(new String[] {"steps", Long.toString(card.steps())});
      rows.add(new String[] {"data", card.data()});
      card.settings().forEach((name, value) -> rows.add(new String[] {name, value}));
      table("", rows);
    }
    List<String[]> rows = new ArrayList<>();
    for (Map.Entry<String, JsonElement> entry : software.entrySet()) {
      rows.add(new String[] {entry.getKey(), entry.getValue().getAsString()});
    }
    table("written by", rows);
  }

  private void base() {
    JsonObject base = json.getAsJsonObject("base");
    line("");
    line("## Base model");
    line("");
    line(
        oneLine(base.get("name").getAsString())
            + "; its files and their SHA-256 are in "
            + CardJson.FILE
            + ".");
    JsonArray loras = base.getAsJsonArray("mergedLoras");
    for (JsonElement element : loras) {
      JsonObject lora = element.getAsJsonObject();
      line("");
      line(
          String.format(
              Locale.ROOT,
              "Merged into it: `%s`, scale %s, SHA-256 `%s`.",
              lora.get("file").getAsString(),
              lora.get("scale").getAsString(),
              lora.get("sha256").getAsString()));
    }
  }

  private void files() {
    line("");
    line("## Files");
    line("");
    line("| file | bytes | SHA-256 |");
    line("|---|---|---|");
    for (ExportedFile file : files) {
      line(
          String.format(
              Locale.ROOT, "| `%s` | %,d | `%s` |", file.file(), file.bytes(), file.sha256()));
    }
  }

  private void table(String head, List<String[]> rows) {
    line("| " + head + " | |");
    line("|---|---|");
    rows.forEach(row -> line("| " + row[0] + " | " + oneLine(row[1]).replace("|", "\\|") + " |"));
    line("");
  }
}
