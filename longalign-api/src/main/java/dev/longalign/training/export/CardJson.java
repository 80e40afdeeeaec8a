package dev.longalign.training.export;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.Config;
import dev.longalign.io.Sha256;
import dev.longalign.io.Software;
import dev.longalign.model.Lora;
import dev.longalign.pipeline.ModelFiles;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
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
  private final JsonObject head;

  CardJson(ModelFiles base, ExportSettings settings, ModelCard card, Lora lora, Path origin) {
    this.settings = settings;
    this.card = card;
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
    card.settings().forEach(with::addProperty);
    json.add("settings", with);
    return json;
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

  private static JsonObject lora(Lora lora) {
    JsonObject json = new JsonObject();
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

  /** Writes both cards beside the files that they describe. */
  List<ExportedFile> write(Path directory) throws IOException {
    List<ExportedFile> files = ExportedFile.below(directory);
    JsonObject json = head.deepCopy();
    json.add("files", list(files));
    write(directory.resolve(FILE), PRETTY.toJson(json) + "\n");
    boolean model = Files.isRegularFile(directory.resolve("model_index.json"));
    String page = new CardPage(settings, card, json, files, model).markdown();
    write(directory.resolve(README), page);
    return files;
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
