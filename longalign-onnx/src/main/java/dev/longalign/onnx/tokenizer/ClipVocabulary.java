package dev.longalign.onnx.tokenizer;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What CLIP's tokenizer knows, from {@code vocab.json} + {@code merges.txt} (with {@code
 * special_tokens_map.json} and {@code tokenizer_config.json} where present) or from {@code
 * tokenizer.json}.
 *
 * @param tokens vocabulary entry -> id
 * @param merges pairs of symbols, most important first
 * @param special tokens found before words are made
 */
record ClipVocabulary(
    Map<String, Integer> tokens,
    List<String[]> merges,
    List<SpecialToken> special,
    int bosId,
    int eosId,
    int padId,
    int unknownId,
    int modelMaxLength) {

  static final String START = "<|startoftext|>";
  static final String END = "<|endoftext|>";

  /** How many merges OpenAI's vocabulary has; transformers reads no more from any file. */
  private static final int MAX_MERGES = 49152 - 256 - 2;

  static ClipVocabulary read(TokenizerFiles files) {
    Map<String, Integer> tokens = new LinkedHashMap<>();
    List<String[]> merges;
    if (files.has("vocab.json") && files.has("merges.txt")) {
      readTokens(files, "vocab.json", files.json("vocab.json"), tokens);
      merges = mergesOfText(files);
    } else if (files.has("tokenizer.json")) {
      JsonElement model = files.json("tokenizer.json").get("model");
      if (model == null
          || !model.isJsonObject()
          || !model.getAsJsonObject().has("vocab")
          || !model.getAsJsonObject().get("vocab").isJsonObject()
          || !model.getAsJsonObject().has("merges")) {
        throw files.damaged("tokenizer.json", "a BPE model with vocab and merges", "none", null);
      }
      readTokens(files, "tokenizer.json", model.getAsJsonObject().getAsJsonObject("vocab"), tokens);
      merges = mergesOfJson(files, model.getAsJsonObject().get("merges"));
    } else {
      throw new LongAlignException(
          files.directory()
              + ": expected vocab.json and merges.txt, or tokenizer.json, found "
              + (files.has("vocab.json")
                  ? "only vocab.json"
                  : files.has("merges.txt") ? "only merges.txt" : "neither")
              + "; download the tokenizer again");
    }
    return complete(files, tokens, merges);
  }

  private static ClipVocabulary complete(
      TokenizerFiles files, Map<String, Integer> tokens, List<String[]> merges) {
    JsonObject config = files.jsonOrEmpty("tokenizer_config.json");
    JsonObject map = files.jsonOrEmpty("special_tokens_map.json");
    Map<String, SpecialToken> special = new LinkedHashMap<>();
    JsonElement added = config.get("added_tokens_decoder");
    if (added != null && added.isJsonObject()) {
      for (Map.Entry<String, JsonElement> e : added.getAsJsonObject().entrySet()) {
        SpecialToken token = SpecialToken.parse(e.getValue(), parseId(files, e.getKey()));
        if (token != null) {
          special.put(token.content(), token);
          tokens.putIfAbsent(token.content(), token.id());
        }
      }
    }
    SpecialToken bos = role("bos_token", START, config, map, tokens, special);
    SpecialToken eos = role("eos_token", END, config, map, tokens, special);
    SpecialToken unknown = role("unk_token", END, config, map, tokens, special);
    SpecialToken pad = role("pad_token", END, config, map, tokens, special);
    return new ClipVocabulary(
        tokens,
        merges,
        List.copyOf(special.values()),
        bos.id(),
        eos.id(),
        pad.id(),
        unknown.id(),
        files.modelMaxLength(77));
  }

  private static SpecialToken role(
      String role,
      String otherwise,
      JsonObject config,
      JsonObject map,
      Map<String, Integer> tokens,
      Map<String, SpecialToken> special) {
    JsonElement json = map.has(role) ? map.get(role) : config.get(role);
    SpecialToken token = SpecialToken.parse(json, -1);
    if (token == null) {
      token = new SpecialToken(otherwise, -1, false, false, true);
    }
    SpecialToken known = special.get(token.content());
    if (known == null) {
      int next = 1 + tokens.values().stream().mapToInt(i -> i).max().orElse(-1);
      Integer id = tokens.putIfAbsent(token.content(), next);
      known = token.withId(id == null ? next : id);
      special.put(known.content(), known);
    }
    return known;
  }

  private static void readTokens(
      TokenizerFiles files, String name, JsonObject json, Map<String, Integer> tokens) {
    for (Map.Entry<String, JsonElement> e : json.entrySet()) {
      int id = TokenizerFiles.integer(e.getValue()).orElse(-1);
      if (id < 0) {
        throw files.damaged(
            name,
            "token ids that are whole numbers from 0",
            "\"" + e.getKey() + "\": " + e.getValue(),
            null);
      }
      tokens.put(e.getKey(), id);
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

  private static List<String[]> mergesOfJson(TokenizerFiles files, JsonElement json) {
    List<String[]> merges = new ArrayList<>();
    JsonArray array = json.isJsonArray() ? json.getAsJsonArray() : new JsonArray();
    for (JsonElement e : array) {
      String[] parts =
          e.isJsonArray()
              ? e.getAsJsonArray().asList().stream()
                  .map(JsonElement::getAsString)
                  .toArray(String[]::new)
              : e.getAsString().split(" ");
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

  private static int parseId(TokenizerFiles files, String id) {
    try {
      return Integer.parseInt(id);
    } catch (NumberFormatException e) {
      throw files.damaged(
          "tokenizer_config.json", "ids as keys of added_tokens_decoder", "\"" + id + "\"", e);
    }
  }
}
