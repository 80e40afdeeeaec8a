package dev.longalign.onnx.tokenizer;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What CLIP's tokenizer knows, from {@code vocab.json} + {@code merges.txt} or {@code
 * tokenizer.json}, with the files beside them that name its special and added tokens.
 *
 * @param tokens vocabulary entry -> id, without tokens that were added later
 * @param merges pairs of symbols, most important first
 * @param special tokens found before words are made, by content
 */
record ClipVocabulary(
    Map<String, Integer> tokens,
    List<String[]> merges,
    Map<String, SpecialToken> special,
    SpecialToken bos,
    SpecialToken eos,
    SpecialToken pad,
    SpecialToken unknown,
    int modelMaxLength) {

  static final String START = "<|startoftext|>";
  static final String END = "<|endoftext|>";

  /** How many merges OpenAI's vocabulary has; transformers reads no more from any file. */
  private static final int MAX_MERGES = 49152 - 256 - 2;

  static ClipVocabulary read(TokenizerFiles files) {
    Map<String, Integer> tokens = new LinkedHashMap<>();
    List<String[]> merges;
    if (files.has("vocab.json") && files.has("merges.txt")) {
      readTokens(files, "vocab.json", files.json("vocab.json").json(), tokens);
      merges = mergesOfText(files);
    } else if (files.has("tokenizer.json")) {
      JsonValue model = files.json("tokenizer.json").get("model");
      if (!model.get("vocab").json().isJsonObject() || !model.get("merges").exists()) {
        throw files.damaged("tokenizer.json", "a BPE model with vocab and merges", "none", null);
      }
      readTokens(files, "tokenizer.json", model.get("vocab").json(), tokens);
      merges = mergesOfJson(files, model.get("merges"));
    } else {
      throw new LongAlignException(
          files.directory()
              + ": expected vocab.json and merges.txt, or tokenizer.json, found "
              + (files.has("vocab.json")
                  ? "only vocab.json"
                  : files.has("merges.txt") ? "only merges.txt" : "neither")
              + "; download the tokenizer again");
    }
    AddedTokens added = AddedTokens.read(files);
    Map<String, SpecialToken> special = new LinkedHashMap<>();
    added.byId().values().stream()
        .filter(token -> !token.content().isEmpty())
        .forEach(token -> special.put(token.content(), token));
    SpecialToken bos = withId(added.role("bos_token", START), tokens, special);
    SpecialToken eos = withId(added.role("eos_token", END), tokens, special);
    SpecialToken unknown = withId(added.role("unk_token", END), tokens, special);
    SpecialToken pad = withId(added.role("pad_token", END), tokens, special);
    added.additional().forEach(token -> withId(token, tokens, special));
    return new ClipVocabulary(
        tokens, merges, special, bos, eos, pad, unknown, files.modelMaxLength(77));
  }

  /** The token as the files list it, else with its id in the vocabulary, else with the next one. */
  private static SpecialToken withId(
      SpecialToken token, Map<String, Integer> tokens, Map<String, SpecialToken> special) {
    return special.computeIfAbsent(
        token.content(),
        content -> {
          Integer id = tokens.get(content);
          return token.withId(id == null ? size(tokens, special) : id);
        });
  }

  private static int size(Map<String, Integer> tokens, Map<String, SpecialToken> special) {
    int largest = tokens.values().stream().mapToInt(id -> id).max().orElse(-1);
    return 1 + special.values().stream().mapToInt(SpecialToken::id).reduce(largest, Math::max);
  }

  /** One more than the largest id. */
  int size() {
    return size(tokens, special);
  }

  /** The names of all ids; of several names the first. */
  Map<Integer, String> names() {
    Map<Integer, String> names = new HashMap<>();
    tokens.forEach((token, id) -> names.putIfAbsent(id, token));
    special.values().forEach(token -> names.putIfAbsent(token.id(), token.content()));
    return names;
  }

  private static void readTokens(
      TokenizerFiles files, String name, JsonElement vocabulary, Map<String, Integer> tokens) {
    JsonObject json = vocabulary.getAsJsonObject();
    for (Map.Entry<String, JsonElement> e : json.entrySet()) {
      double id =
          e.getValue().isJsonPrimitive() && e.getValue().getAsJsonPrimitive().isNumber()
              ? e.getValue().getAsDouble()
              : -1;
      if (!(id >= 0 && id < TokenizerFiles.MAX_TOKENS && id == (int) id)) {
        throw files.damaged(
            name,
            "token ids that are whole numbers from 0",
            Names.printable("\"" + e.getKey() + "\": " + e.getValue()),
            null);
      }
      tokens.put(e.getKey(), (int) id);
    }
    if (tokens.isEmpty()) {
      throw files.damaged(name, "a vocabulary (token -> id)", "an empty one", null);
    }
  }

  private static List<String[]> mergesOfText(TokenizerFiles files) {
    String[] lines =
        files.text("merges.txt").replace("\r\n", "\n").replace('\r', '\n').strip().split("\n");
    List<String[]> merges = new ArrayList<>(lines.length);
    for (int i = 1;
        i < lines.length && i <= MAX_MERGES;
        i++) { // the first line is a header, as in the original
      merges.add(pair(files, "merges.txt", i + 1, lines[i].strip().split("\\s+")));
    }
    return merges;
  }

  private static List<String[]> mergesOfJson(TokenizerFiles files, JsonValue json) {
    List<String[]> merges = new ArrayList<>();
    for (JsonValue e : json.list()) {
      String[] parts =
          e.json().isJsonArray()
              ? e.stream().map(JsonValue::text).toArray(String[]::new)
              : e.text().split(" ");
      merges.add(pair(files, "tokenizer.json", merges.size() + 1, parts));
    }
    return merges;
  }

  private static String[] pair(TokenizerFiles files, String name, int number, String[] parts) {
    if (parts.length != 2) {
      throw files.damaged(name, "two symbols in merge " + number, parts.length + " symbols", null);
    }
    return parts;
  }
}
