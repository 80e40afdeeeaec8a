package dev.longalign.onnx.tokenizer;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.text.Tokenizer;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * Opens CLIP's tokenizer from a Hugging Face directory ({@code vocab.json} + {@code merges.txt}, or
 * {@code tokenizer.json}). There are two, which differ on unusual text only:
 *
 * <pre>{@code
 * try (Tokenizer sd = ClipTokenizers.open(Path.of("stable-diffusion-v1-5/tokenizer"))) {
 *   int[] ids = sd.encode("a lighthouse"); // 49406 ... 49407
 * }
 * }</pre>
 */
public final class ClipTokenizers {
  private ClipTokenizers() {}

  /** Stable Diffusion's: {@link #openSlow}. */
  public static Tokenizer open(Path directory) {
    return openSlow(directory);
  }

  /**
   * transformers' CLIPTokenizer behind ftfy's repairs.
   *
   * @throws dev.longalign.LongAlignException if a file is missing or damaged
   */
  public static Tokenizer openSlow(Path directory) {
    return new SlowClipTokenizer(ClipVocabulary.read(new TokenizerFiles(directory)));
  }

  /**
   * transformers' CLIPTokenizerFast, as preference models use it (CLIPProcessor): no repairs but
   * NFC, white space and lower case. Close it to free native memory.
   *
   * @throws dev.longalign.LongAlignException if a file is missing or damaged
   */
  public static Tokenizer openFast(Path directory) {
    TokenizerFiles files = new TokenizerFiles(directory);
    ClipVocabulary vocabulary = ClipVocabulary.read(files);
    JsonObject json =
        files.has("tokenizer.json") ? files.json("tokenizer.json") : fastLayout(vocabulary);
    Map<Integer, String> names = new HashMap<>();
    vocabulary.tokens().forEach((token, id) -> names.putIfAbsent(id, token));
    return new NativeTokenizer(
        json,
        directory,
        new NativeTokenizer.Facts(
            names,
            vocabulary.bosId(),
            vocabulary.eosId(),
            vocabulary.padId(),
            vocabulary.modelMaxLength()));
  }

  /** The tokenizer.json that transformers makes of vocab.json and merges.txt. */
  private static JsonObject fastLayout(ClipVocabulary vocabulary) {
    JsonObject json =
        JsonParser.parseString(
                """
        {"version": "1.0",
         "normalizer": {"type": "Sequence", "normalizers": [
           {"type": "NFC"},
           {"type": "Replace", "pattern": {"Regex": "\\\\s+"}, "content": " "},
           {"type": "Lowercase"}]},
         "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
           {"type": "Split", "behavior": "Removed", "invert": true, "pattern":
             {"Regex": "'s|'t|'re|'ve|'m|'ll|'d|[\\\\p{L}]+|[\\\\p{N}]|[^\\\\s\\\\p{L}\\\\p{N}]+"}},
           {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]},
         "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
         "model": {"type": "BPE", "dropout": null, "continuing_subword_prefix": "", "end_of_word_suffix": "</w>",
           "fuse_unk": false, "byte_fallback": false, "ignore_merges": false}}
        """)
            .getAsJsonObject();
    JsonArray added = new JsonArray();
    vocabulary.special().forEach(token -> added.add(token.toJson()));
    json.add("added_tokens", added);

    JsonObject roberta = new JsonObject();
    roberta.addProperty("type", "RobertaProcessing");
    roberta.add("sep", tokenAndId(vocabulary, vocabulary.eosId()));
    roberta.add("cls", tokenAndId(vocabulary, vocabulary.bosId()));
    roberta.addProperty("trim_offsets", false);
    roberta.addProperty("add_prefix_space", false);
    json.add("post_processor", roberta);

    JsonObject model = json.getAsJsonObject("model");
    model.addProperty("unk_token", name(vocabulary, vocabulary.unknownId()));
    JsonObject tokens = new JsonObject();
    vocabulary.tokens().forEach(tokens::addProperty);
    model.add("vocab", tokens);
    JsonArray merges = new JsonArray();
    for (String[] pair : vocabulary.merges()) {
      merges.add(pair[0] + " " + pair[1]);
    }
    model.add("merges", merges);
    return json;
  }

  private static JsonElement tokenAndId(ClipVocabulary vocabulary, int id) {
    JsonArray pair = new JsonArray();
    pair.add(name(vocabulary, id));
    pair.add(id);
    return pair;
  }

  private static String name(ClipVocabulary vocabulary, int id) {
    return vocabulary.special().stream()
        .filter(t -> t.id() == id)
        .findFirst()
        .orElseThrow()
        .content();
  }
}
