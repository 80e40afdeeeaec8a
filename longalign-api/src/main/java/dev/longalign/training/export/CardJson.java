package dev.longalign.training.export;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import dev.longalign.LongAlignException;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.Config;
import dev.longalign.io.Sha256;
import dev.longalign.io.Software;
import dev.longalign.model.Lora;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.SamplingDefaults;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.training.TrainedModel;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/** The model card for programs, and what the one for people is made of. */
final class CardJson {
  static final String FILE = "model-card.json";
  static final String README = "README.md";

  /** Of an export; they are not among the files that it names. */
  static final Set<String> OWN_FILES = Set.of(FILE, README);

  private static final String FORMAT = "longalign-export";
  private static final int VERSION = 1;
  private static final Gson PRETTY =
      new GsonBuilder().setPrettyPrinting().disableHtmlEscaping().create();

  private final ExportSettings settings;
  private final ModelCard card;
  private final ModelFiles base;
  private final JsonObject head;

  CardJson(
      ModelFiles base,
      ExportSettings settings,
      ModelCard card,
      SamplingDefaults sampled,
      Lora lora,
      Path origin) {
    this.settings = settings;
    this.card = card;
    this.base = base;
    head = new JsonObject();
    head.addProperty("format", FORMAT);
    head.addProperty("version", VERSION);
    head.addProperty("title", card.title());
    head.addProperty("created", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
    head.add("software", software());
    if (!card.stage().isEmpty()) {
      head.add("training", training());
    }
    head.add("base", base(base));
    head.add("lora", lora(lora));
    head.add("sampling", sampled.json());
    if (origin != null) {
      head.add("from", from(origin));
    }
  }

  private JsonObject software() {
    JsonObject json = new JsonObject();
    json.addProperty("library", Software.name());
    json.addProperty(
        "java", System.getProperty("java.vm.name") + " " + System.getProperty("java.version"));
    json.addProperty(
        "os",
        String.join(
            " ",
            System.getProperty("os.name"),
            System.getProperty("os.version"),
            System.getProperty("os.arch")));
    if (!card.backend().isEmpty()) {
      json.addProperty("backend", card.backend());
    }
    return json;
  }

  private JsonObject training() {
    JsonObject json = new JsonObject();
    json.addProperty("stage", card.stage());
    json.addProperty("steps", card.steps());
    json.addProperty("data", card.data());
    JsonObject with = new JsonObject();
    card.settings().forEach((name, value) -> with.add(name, number(value)));
    json.add("settings", with);
    return json;
  }

  /** A number if the text is one. */
  private static JsonPrimitive number(String text) {
    return text.matches("-?\\d{1,18}(\\.\\d{1,18})?(E-?\\d{1,3})?")
        ? new JsonPrimitive(new BigDecimal(text))
        : new JsonPrimitive(text);
  }

  private JsonObject base(ModelFiles base) {
    JsonObject json = new JsonObject();
    String directory =
        String.valueOf(base.model().path().toAbsolutePath().normalize().getFileName());
    json.addProperty("name", card.baseModel().isEmpty() ? directory : card.baseModel());
    json.add("files", list(ExportedFile.of(base.files())));
    JsonArray loras = new JsonArray();
    for (ModelFiles.LoraFile lora : base.loras()) {
      JsonObject entry = new JsonObject();
      entry.addProperty("file", lora.file().getFileName().toString());
      entry.addProperty("scale", lora.scale());
      entry.addProperty("sha256", Sha256.of(lora.file()));
      loras.add(entry);
    }
    json.add("mergedLoras", loras);
    return json;
  }

  private JsonObject lora(Lora lora) {
    JsonObject json = new JsonObject();
    settings.samplingFile().ifPresent(file -> json.addProperty("file", file));
    json.addProperty("layers", lora.entries().size());
    JsonArray ranks = new JsonArray();
    lora.entries().values().stream().map(Lora.Entry::rank).distinct().sorted().forEach(ranks::add);
    json.add("ranks", ranks);
    return json;
  }

  private static JsonObject from(Path origin) {
    JsonObject json = new JsonObject();
    json.addProperty("file", origin.getFileName().toString());
    json.addProperty("sha256", Sha256.of(origin));
    Config earlier = read(origin.toAbsolutePath().getParent());
    if (earlier != null) {
      json.add("card", earlier.json());
    }
    return json;
  }

  private static JsonArray list(List<ExportedFile> files) {
    JsonArray list = new JsonArray();
    for (ExportedFile file : files) {
      JsonObject entry = new JsonObject();
      entry.addProperty("file", file.file());
      entry.addProperty("bytes", file.bytes());
      entry.addProperty("sha256", file.sha256());
      list.add(entry);
    }
    return list;
  }

  /**
   * Writes both cards beside the files that they describe.
   *
   * @param place where the directory will be
   */
  List<ExportedFile> write(Path directory, Path place) throws IOException {
    List<ExportedFile> files = ExportedFile.below(directory);
    JsonObject json = head.deepCopy();
    json.add("files", list(files));
    write(directory.resolve(FILE), PRETTY.toJson(json) + "\n");
    String command = command(directory, base, place).map(c -> c.textIn(place)).orElseThrow();
    String page = new CardPage(settings, card, json, files, command).markdown();
    write(directory.resolve(README), page);
    return files;
  }

  /**
   * What samples with an export; nothing if there is none.
   *
   * @param place the directory's own, where that is still being written
   */
  static Optional<SamplingCommand> command(Path directory, ModelFiles base, Path place) {
    if (Files.isRegularFile(directory.resolve("model_index.json"))) {
      return Optional.of(SamplingCommand.ofModel(place, base));
    }
    return Optional.ofNullable(read(directory))
        .map(
            json ->
                SamplingCommand.ofLora(
                    base,
                    place.resolve(json.getConfig("lora").getString("file")),
                    Files.isDirectory(directory.resolve(TrainedModel.ADAPTER_DIRECTORY))
                        ? Optional.of(place.resolve(TrainedModel.ADAPTER_DIRECTORY))
                        : Optional.empty(),
                    SamplingDefaults.of(json.getConfig("sampling"))));
  }

  /** What a LoRA is sampled with: with its base, or as distilled ones are if it or that is one. */
  static SamplingDefaults sampling(Path origin, ModelFiles base) {
    List<Path> loras = new ArrayList<>(base.loras().stream().map(l -> l.file()).toList());
    if (origin != null) {
      loras.add(origin);
    }
    return loras.stream()
        .map(lora -> read(lora.toAbsolutePath().getParent()))
        .filter(Objects::nonNull)
        .flatMap(json -> distilled(json).stream())
        .findFirst()
        .orElseGet(base::defaults);
  }

  private static Optional<SamplingDefaults> distilled(Config json) {
    if (json.has("sampling")) {
      return Optional.of(SamplingDefaults.of(json.getConfig("sampling")))
          .filter(sampled -> sampled.scheduler() == Scheduler.LCM);
    }
    String stage = json.has("training") ? json.getConfig("training").getString("stage") : "";
    return stage.contains("lcm") ? Optional.of(SamplingDefaults.distilled(4)) : Optional.empty();
  }

  private static void write(Path file, String text) {
    AtomicFiles.write(file, out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
  }

  /** The card in a directory; null if there is none of an export. */
  static Config read(Path directory) {
    Path file = directory.resolve(FILE);
    if (!Files.isRegularFile(file)) {
      return null;
    }
    try {
      Config config = Config.read(file);
      return FORMAT.equals(config.getString("format", "")) ? config : null;
    } catch (LongAlignException other) {
      return null; // someone else's file of this name
    }
  }

  /** What the card in a directory names; nothing if there is none. */
  static List<ExportedFile> files(Path directory) {
    Config config = read(directory);
    List<ExportedFile> files = new ArrayList<>();
    if (config != null && config.isList("files")) {
      for (JsonElement element : config.json().getAsJsonArray("files")) {
        Config file = Config.of(config.source(), element.getAsJsonObject());
        files.add(
            new ExportedFile(
                file.getString("file"),
                file.getLong("bytes"),
                file.getString("sha256").toLowerCase(Locale.ROOT)));
      }
    }
    return files;
  }
}
