package dev.longalign.cli.verify;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.cli.verify.VerifyCase.Body;
import dev.longalign.io.Config;
import dev.longalign.io.ModelDirectory;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TorchFile;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.Lora;
import dev.longalign.model.TextAdapter;
import dev.longalign.model.TextAdapterConfig;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.LayerSpec;
import dev.longalign.preference.Features;
import dev.longalign.preference.PixelValues;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.tensor.DType;
import dev.longalign.text.TextEncoder;
import dev.longalign.text.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** {@code models/}: every part of every model loads, and LoRA lists have the recorded order. */
final class ModelCases implements CaseSource {
  private static final String AREA = "models";

  private final Bench bench;
  private final Path model;

  ModelCases(Bench bench, Path model) {
    this.bench = bench;
    this.model = model;
  }

  @Override
  public List<VerifyCase> cases() {
    List<VerifyCase> cases = new ArrayList<>();
    String name = model.getFileName().toString();
    if (Files.isRegularFile(model.resolve("model_index.json"))) {
      cases.add(
          new VerifyCase(
              AREA,
              name,
              c ->
                  c.same(
                      "is a pipeline",
                      false,
                      ModelDirectory.open(model).pipelineClass().isEmpty())));
    }
    for (Path part : Bench.list(model)) {
      String file = part.getFileName().toString();
      if (Files.isDirectory(part)) {
        cases.add(part(name + "/" + file, part));
      }
    }
    Path layout = model.resolve("lora_layout.json");
    if (Files.isRegularFile(layout)) {
      JsonObject files = Values.readConfig(layout).getAsJsonObject("files");
      for (String file : files.keySet()) {
        JsonObject expected = files.getAsJsonObject(file);
        cases.add(new VerifyCase(AREA, name + "/" + file, c -> lora(file, expected, c)));
      }
    }
    return cases;
  }

  private VerifyCase part(String name, Path part) {
    if (Files.isRegularFile(part.resolve("scheduler_config.json"))) {
      return new VerifyCase(AREA, name, c -> scheduler(part, c));
    }
    if (!Files.isRegularFile(part.resolve("config.json"))) {
      boolean tokenizer = Files.isRegularFile(part.resolve("vocab.json"));
      return tokenizer
          ? new VerifyCase(AREA, name, c -> tokens(bench.encoders().clipTokenizer(part), c))
          : VerifyCase.skipped(AREA, name, "unknown case");
    }
    Body body =
        switch (kind(part)) {
          case "UNet2DConditionModel" -> c -> unet(part, c);
          case "AutoencoderKL" -> c -> vae(part, c);
          case "TextAdapter" -> c -> adapter(part, c);
          case "clip_text_model" ->
              c -> encode(bench.encoders().clipTextEncoder(part, bench.threads()), c);
          case "t5" ->
              c -> {
                tokens(bench.encoders().t5Tokenizer(part), c);
                encode(bench.encoders().t5Encoder(part, bench.threads()), c);
              };
          case "clip" -> c -> preference(part, c);
          default -> null;
        };
    return body == null
        ? VerifyCase.skipped(AREA, name, "unknown case")
        : new VerifyCase(AREA, name, body);
  }

  private static String kind(Path part) {
    JsonObject config = Values.readConfig(part.resolve("config.json"));
    for (String key : List.of("_class_name", "model_type")) {
      if (config.has(key)) {
        return config.get(key).getAsString();
      }
    }
    return config.has("in_dim") && config.has("int_dim") ? "TextAdapter" : "";
  }

  private void unet(Path part, Comparison comparison) {
    UNet2DConditionConfig config = UNetCases.config(part);
    try (UNet2DCondition unet =
        UNet2DCondition.load(config, Bench.weights(part), bench.backend(), DType.F32)) {
      comparison.same("config", config, unet.config());
    }
  }

  private void vae(Path part, Comparison comparison) {
    try (AutoencoderKL vae = VaeCases.load(bench, part)) {
      comparison.same("type", DType.F32, vae.dtype());
    }
  }

  /** Both towers and the tokenizer open, and a grey picture has features. */
  private void preference(Path part, Comparison comparison) {
    try (PreferenceModel model = PreferenceModel.open(part, bench.threads())) {
      int size = model.preprocessing().size();
      Features images = model.imageFeatures(new PixelValues(new float[3 * size * size], 1, size));
      Features texts = model.textFeatures(List.of(model.tokenizer().encode("a picture")));
      comparison.same("width of features", images.width(), texts.width());
      comparison.close("length of a text feature", 1, Math.sqrt(squares(texts)), Comparison.F32);
    }
  }

  private static double squares(Features features) {
    double sum = 0;
    for (float value : features.values()) {
      sum += (double) value * value;
    }
    return sum;
  }

  private void adapter(Path part, Comparison comparison) {
    TextAdapterConfig config = TextAdapterConfig.of(Config.read(part.resolve("config.json")));
    try (TextAdapter adapter =
        TextAdapter.load(config, Bench.weights(part), bench.backend(), DType.F32)) {
      comparison.same("config", config, adapter.config());
    }
  }

  private static void scheduler(Path part, Comparison comparison) {
    for (Scheduler scheduler : Scheduler.values()) {
      SchedulerConfig config =
          SchedulerConfig.read(part.resolve("scheduler_config.json"), scheduler);
      comparison.same("has timesteps", true, config.noise().numTrainTimesteps() > 0);
    }
  }

  private static void tokens(Tokenizer opened, Comparison comparison) {
    try (Tokenizer tokenizer = opened) {
      int[] ids = tokenizer.encode("a picture");
      comparison.same("the last token is the end", tokenizer.eosId(), ids[ids.length - 1]);
    }
  }

  private static void encode(TextEncoder opened, Comparison comparison) {
    try (TextEncoder encoder = opened) {
      float[] states = encoder.encode(new int[][] {{0, 1, 1}}).values();
      comparison.same("states", 3 * encoder.width(), states.length);
      for (float state : states) {
        if (!Float.isFinite(state)) {
          comparison.wrong("a hidden state is " + state);
        }
      }
    }
  }

  /** The order of the layers is the only thing that gives a bare list its meaning. */
  private void lora(String file, JsonObject layout, Comparison comparison) {
    Path part = model.resolve(layout.get("model").getAsString());
    UNet2DConditionConfig config = UNetCases.config(part);
    List<JsonElement> entries = layout.getAsJsonArray("entries").asList();
    List<String> expected =
        entries.stream().map(e -> e.getAsJsonObject().get("module").getAsString()).toList();
    List<String> declared =
        UNet2DCondition.loraLayers(config).stream().map(LayerSpec::path).toList();
    comparison.same("number of layers", expected.size(), declared.size());
    for (int i = 0; i < Math.min(expected.size(), declared.size()); i++) {
      comparison.same("layer " + i, expected.get(i), declared.get(i));
    }
    Path path = model.resolve(file);
    Lora lora = Lora.read(path, UNet2DCondition.layers(config));
    comparison.same("layers of the file", expected, List.copyOf(lora.entries().keySet()));
    try (TorchFile stored = TorchFile.open(path)) {
      for (JsonElement element : entries) {
        JsonObject entry = element.getAsJsonObject();
        shape(stored.list(), entry, "up", comparison);
        shape(stored.list(), entry, "down", comparison);
      }
    }
    for (Lora.Entry entry : lora.entries().values()) {
      comparison.same(entry.layer().path() + " rank", layout.get("rank").getAsInt(), entry.rank());
    }
  }

  private static void shape(
      List<StoredTensor> stored, JsonObject entry, String which, Comparison comparison) {
    int index = entry.get("index_" + which).getAsInt();
    if (index >= stored.size()) {
      throw new LongAlignException("expected a tensor " + index + ", found " + stored.size());
    }
    comparison.same(
        entry.get("module").getAsString() + " " + which,
        Arrays.toString(Values.ints(entry.get(which))),
        Arrays.toString(stored.get(index).shape().toArray()));
  }
}
