package dev.longalign.onnx.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.text.Tokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Against the ids that transformers 4.57.6 gave for random texts, with each form that the files of
 * T5 and CLIP have, and with added tokens. The vectors' script is src/test/python/tokenizers.py.
 */
class TokenizerOracleTest {
  private static final String ELLIPSIS = "...";

  @TempDir Path directory;

  @Test
  void everyFormOfFilesGivesTheIdsOfTheReference() throws IOException {
    List<String> differences = new ArrayList<>();
    int cases = 0;
    for (JsonElement e : oracle().getAsJsonArray("variants")) {
      JsonObject variant = e.getAsJsonObject();
      String name = variant.get("name").getAsString();
      try (Tokenizer tokenizer = open(variant, directory.resolve(name))) {
        for (JsonElement test : variant.getAsJsonArray("cases")) {
          String text = test.getAsJsonArray().get(0).getAsString();
          int[] expected = Golden.ids(test.getAsJsonArray().get(1));
          int[] got = tokenizer.encode(text);
          cases++;
          if (!Arrays.equals(expected, got)) {
            differences.add(
                name
                    + ", "
                    + text
                    + ": expected "
                    + Arrays.toString(expected)
                    + ", got "
                    + Arrays.toString(got));
          }
        }
      }
    }
    assertThat(differences).isEmpty();
    assertThat(cases).isGreaterThan(6000);
  }

  private static JsonObject oracle() throws IOException {
    try (InputStream in = TokenizerOracleTest.class.getResourceAsStream("oracle.json.gz");
        InputStreamReader reader =
            new InputStreamReader(new GZIPInputStream(in), StandardCharsets.UTF_8)) {
      return JsonParser.parseReader(reader).getAsJsonObject();
    }
  }

  private static Tokenizer open(JsonObject variant, Path folder) throws IOException {
    boolean t5 = variant.get("kind").getAsString().equals("t5");
    Path base = t5 ? Golden.T5 : Golden.ROOT.resolve("models/tiny-longsd/tokenizer");
    Files.createDirectories(folder);
    for (String file :
        t5
            ? List.of("spiece.model", "tokenizer.json", "tokenizer_config.json")
            : List.of("vocab.json", "merges.txt", "tokenizer_config.json")) {
      Files.copy(base.resolve(file), folder.resolve(file));
    }
    Files.copy(base.resolve("special_tokens_map.json"), folder.resolve("special_tokens_map.json"));
    for (Map.Entry<String, JsonElement> change : variant.getAsJsonObject("changes").entrySet()) {
      Path file = folder.resolve(change.getKey());
      if (change.getValue().isJsonNull()) {
        Files.delete(file);
        continue;
      }
      JsonObject content = Files.exists(file) ? json(file) : new JsonObject();
      merge(content, change.getValue().getAsJsonObject());
      if (change.getKey().equals("tokenizer.json") && !t5) {
        content.add("model", model(folder));
      }
      Files.writeString(file, content.toString());
    }
    return switch (variant.get("kind").getAsString()) {
      case "t5" -> T5Tokenizers.open(folder);
      case "fast" -> ClipTokenizers.openFast(folder);
      default -> ClipTokenizers.openSlow(folder);
    };
  }

  /** Replaces members; dots stand for what was there. */
  private static void merge(JsonObject content, JsonObject changes) {
    for (Map.Entry<String, JsonElement> change : changes.entrySet()) {
      String key = change.getKey();
      JsonElement value = change.getValue();
      JsonElement old = content.get(key);
      if (value.isJsonArray()) {
        JsonArray all = new JsonArray();
        value
            .getAsJsonArray()
            .forEach(
                v -> {
                  if (isDots(v)) {
                    all.addAll(old.getAsJsonArray());
                  } else {
                    all.add(v);
                  }
                });
        content.add(key, all);
      } else if (value.isJsonObject() && value.getAsJsonObject().has(ELLIPSIS)) {
        JsonObject all = old == null ? new JsonObject() : old.getAsJsonObject();
        value.getAsJsonObject().entrySet().stream()
            .filter(member -> !member.getKey().equals(ELLIPSIS))
            .forEach(member -> all.add(member.getKey(), member.getValue()));
        content.add(key, all);
      } else {
        if (key.equals("normalizer") && value.isJsonObject()) {
          JsonElement steps = value.getAsJsonObject().get("normalizers");
          for (int i = 0; steps != null && i < steps.getAsJsonArray().size(); i++) {
            if (isDots(steps.getAsJsonArray().get(i))) {
              steps.getAsJsonArray().set(i, old);
            }
          }
        }
        content.add(key, value);
      }
    }
  }

  private static boolean isDots(JsonElement value) {
    return value.isJsonPrimitive() && value.getAsString().equals(ELLIPSIS);
  }

  private static JsonObject model(Path folder) throws IOException {
    JsonArray merges = new JsonArray();
    Files.readAllLines(folder.resolve("merges.txt")).stream()
        .skip(1)
        .filter(line -> !line.isBlank())
        .forEach(merges::add);
    JsonObject model =
        JsonParser.parseString(
                """
                {"type": "BPE", "dropout": null, "unk_token": "<|endoftext|>",
                 "continuing_subword_prefix": "", "end_of_word_suffix": "</w>",
                 "fuse_unk": false, "byte_fallback": false, "ignore_merges": false}
                """)
            .getAsJsonObject();
    model.add("vocab", json(folder.resolve("vocab.json")));
    model.add("merges", merges);
    return model;
  }

  private static JsonObject json(Path file) throws IOException {
    return JsonParser.parseString(Files.readString(file)).getAsJsonObject();
  }
}
