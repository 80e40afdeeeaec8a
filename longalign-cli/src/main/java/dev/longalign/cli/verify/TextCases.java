package dev.longalign.cli.verify;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.onnx.tokenizer.ClipTokenizers;
import dev.longalign.onnx.tokenizer.T5Tokenizers;
import dev.longalign.text.CaptionCleaner;
import dev.longalign.text.SegmentSplitter;
import dev.longalign.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Function;

/** {@code text/}: segments, cleaned captions and token ids; every text must be equal. */
final class TextCases implements CaseSource {
  private static final String AREA = "text";
  private static final String PLAIN = "slow_ftfy";
  private static final Set<String> DESCRIPTIONS =
      Set.of("caption", "text", "re_split", "ftfy_changes_text");

  private final Bench bench;
  private final Vectors vectors;

  TextCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
  }

  @Override
  public List<VerifyCase> cases() {
    List<VerifyCase> cases = new ArrayList<>();
    JsonArray texts = vectors.json().getAsJsonArray("cases");
    Set<String> fields = new LinkedHashSet<>();
    if (texts != null) {
      texts.forEach(test -> fields.addAll(test.getAsJsonObject().keySet()));
    }
    fields.removeAll(DESCRIPTIONS);
    fields.forEach(field -> cases.add(ofField(field)));
    JsonArray batches = vectors.json().getAsJsonArray("batches");
    for (int i = 0; batches != null && i < batches.size(); i++) {
      JsonObject batch = batches.get(i).getAsJsonObject();
      cases.add(new VerifyCase(AREA, vectors.name() + ".batches" + i, c -> batch(batch, c)));
    }
    return cases;
  }

  private VerifyCase ofField(String field) {
    String name = vectors.name() + "." + field;
    return switch (field) {
      case "reference_segments" ->
          new VerifyCase(AREA, name, c -> texts(field, SegmentSplitter.reference()::split, c));
      case "train_caption" ->
          new VerifyCase(AREA, name, c -> texts(field, CaptionCleaner.TRAINING, c));
      case "validation_caption" ->
          new VerifyCase(AREA, name, c -> texts(field, CaptionCleaner.VALIDATION, c));
      case PLAIN, "fast" -> new VerifyCase(AREA, name, c -> clip(field, c));
      case "slow_no_ftfy" ->
          VerifyCase.skipped(
              AREA, name, "LongAlign reads text as the reference does where ftfy is installed");
      case "ids" -> new VerifyCase(AREA, name, c -> t5(T5Tokenizers.open(t5Directory()), c));
      case "sentencepiece" -> new VerifyCase(AREA, name, this::spieceModel);
      default -> VerifyCase.skipped(AREA, name, "unknown case");
    };
  }

  private void texts(String field, Function<String, ?> function, Comparison comparison) {
    for (JsonElement element : vectors.json().getAsJsonArray("cases")) {
      JsonObject test = element.getAsJsonObject();
      String caption = test.get("caption").getAsString();
      JsonElement expected = test.get(field);
      if (expected == null) {
        continue;
      }
      Object wanted =
          expected.isJsonArray()
              ? expected.getAsJsonArray().asList().stream().map(JsonElement::getAsString).toList()
              : expected.getAsString();
      comparison.same(quoted(caption), wanted, function.apply(caption));
    }
  }

  private void clip(String field, Comparison comparison) {
    try (Tokenizer tokenizer = clipTokenizer(field)) {
      ids(tokenizer, field, comparison);
    }
  }

  private void t5(Tokenizer opened, Comparison comparison) {
    try (Tokenizer tokenizer = opened) {
      ids(tokenizer, "ids", comparison);
    }
  }

  /** The tokenizer of spiece.model alone must give the ids of tokenizer.json. */
  private void spieceModel(Comparison comparison) throws IOException {
    Path model = t5Directory().resolve("spiece.model");
    if (!Files.isRegularFile(model)) {
      throw new VerifyCase.Skipped("there is no spiece.model in " + model.getParent());
    }
    Path alone = Files.createTempDirectory("longalign-verify");
    Path copy = alone.resolve("spiece.model");
    try {
      Files.copy(model, copy);
      t5(T5Tokenizers.open(alone), comparison);
    } finally {
      Files.deleteIfExists(copy);
      Files.deleteIfExists(alone);
    }
  }

  private void ids(Tokenizer tokenizer, String field, Comparison comparison) {
    for (JsonElement element : vectors.json().getAsJsonArray("cases")) {
      JsonObject test = element.getAsJsonObject();
      if (!test.has(field)) {
        continue;
      }
      JsonElement expected = test.get(field).isJsonArray() ? test.get(field) : test.get(PLAIN);
      String text = test.get("text").getAsString();
      comparison.same(quoted(text), Values.ints(expected), tokenizer.encode(text));
    }
  }

  private void batch(JsonObject batch, Comparison comparison) {
    String variant = batch.get("call").getAsString().split(" ")[0];
    if (!variant.equals(PLAIN) && !variant.equals("fast")) {
      throw new VerifyCase.Skipped("no tokenizer of the variant '" + variant + "'");
    }
    int[][] expected = Values.intRows(batch.get("input_ids"));
    List<String> texts = Values.texts(batch.get("texts"));
    try (Tokenizer tokenizer = clipTokenizer(variant)) {
      int[][] got =
          Tokenizer.pad(
              tokenizer.encodeAll(texts), expected[0].length, tokenizer.padId(), tokenizer.eosId());
      comparison.same("input_ids", expected, got);
    }
  }

  private Tokenizer clipTokenizer(String variant) {
    Path directory =
        Bench.list(vectors.directory()).stream()
            .filter(path -> Files.isRegularFile(path.resolve("vocab.json")))
            .findFirst()
            .orElseThrow(
                () ->
                    new LongAlignException(
                        vectors.directory()
                            + ": expected a directory with vocab.json, found none"));
    return variant.equals("fast")
        ? ClipTokenizers.openFast(directory)
        : ClipTokenizers.openSlow(directory);
  }

  private Path t5Directory() {
    return bench.part(vectors, "t5");
  }

  private static String quoted(String text) {
    String shown = text.length() > 60 ? text.substring(0, 57) + "..." : text;
    return '"' + shown.replace("\n", "\\n") + '"';
  }
}
