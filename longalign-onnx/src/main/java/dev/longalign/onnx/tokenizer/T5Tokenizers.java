package dev.longalign.onnx.tokenizer;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Base64;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Opens T5's tokenizer from {@code tokenizer.json} or, where that is missing, from {@code
 * spiece.model}.
 */
public final class T5Tokenizers {
  private static final String PAD = "<pad>";
  private static final String EOS = "</s>";

  private T5Tokenizers() {}

  /**
   * transformers' T5TokenizerFast. Close it to free native memory.
   *
   * @throws LongAlignException if a file is missing or damaged
   */
  public static Tokenizer open(Path directory) {
    TokenizerFiles files = new TokenizerFiles(directory);
    if (files.has("tokenizer.json")) {
      return open(files, "tokenizer.json", files.json("tokenizer.json"));
    }
    if (files.has("spiece.model")) {
      return open(files, "spiece.model", unigramLayout(files));
    }
    throw new LongAlignException(
        directory
            + ": expected tokenizer.json or spiece.model, found neither; download the tokenizer again");
  }

  private static Tokenizer open(TokenizerFiles files, String name, JsonObject json) {
    Map<Integer, String> names = new HashMap<>();
    try {
      int id = 0;
      for (JsonElement entry : json.getAsJsonObject("model").getAsJsonArray("vocab")) {
        names.put(id++, entry.getAsJsonArray().get(0).getAsString());
      }
      if (json.has("added_tokens")) {
        for (JsonElement token : json.getAsJsonArray("added_tokens")) {
          names.put(
              token.getAsJsonObject().get("id").getAsInt(),
              token.getAsJsonObject().get("content").getAsString());
        }
      }
    } catch (RuntimeException e) {
      throw files.damaged(
          name, "a Unigram model with a list of pieces as vocabulary", "none (" + e + ")", e);
    }
    int pad = -1;
    int eos = -1;
    for (Map.Entry<Integer, String> e : names.entrySet()) {
      pad = e.getValue().equals(PAD) ? e.getKey() : pad;
      eos = e.getValue().equals(EOS) ? e.getKey() : eos;
    }
    if (pad < 0 || eos < 0) {
      throw files.damaged(
          name, PAD + " and " + EOS + " in the vocabulary", "no " + (pad < 0 ? PAD : EOS), null);
    }
    return new NativeTokenizer(
        json,
        files.path(name),
        new NativeTokenizer.Facts(names, -1, eos, pad, files.modelMaxLength(512)));
  }

  /** The tokenizer.json that transformers makes of spiece.model. */
  private static JsonObject unigramLayout(TokenizerFiles files) {
    SentencePieceModel model;
    try {
      model = SentencePieceModel.parse(files.bytes("spiece.model"));
    } catch (IOException e) {
      throw files.damaged(
          "spiece.model", "a SentencePiece model", "something else (" + e.getMessage() + ")", e);
    }
    if (!model.unigram() || model.pieces().isEmpty()) {
      throw files.damaged(
          "spiece.model",
          "a SentencePiece model of type UNIGRAM",
          model.unigram() ? "no pieces" : "another type",
          null);
    }
    JsonArray vocabulary = new JsonArray();
    JsonArray added = new JsonArray();
    int eos = -1;
    for (SentencePieceModel.Piece piece : model.pieces()) {
      int id = vocabulary.size();
      eos = piece.text().equals(EOS) ? id : eos;
      if (piece.type() != SentencePieceModel.NORMAL
          && piece.type() <= SentencePieceModel.USER_DEFINED) {
        added.add(new SpecialToken(piece.text(), id, false, false, false).toJson());
      }
      vocabulary.add(entry(piece.text(), piece.score()));
    }
    for (int i = extraIds(files) - 1; i >= 0; i--) {
      String token = "<extra_id_" + i + ">";
      added.add(new SpecialToken(token, vocabulary.size(), false, false, false).toJson());
      vocabulary.add(entry(token, 0));
    }
    JsonObject json =
        JsonParser.parseString(
                String.format(
                    Locale.ROOT,
                    """
        {"version": "1.0",
         "normalizer": {"type": "Sequence", "normalizers": [
           {"type": "Strip", "strip_left": false, "strip_right": true},
           {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}]},
         "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": true},
         "decoder": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": true},
         "post_processor": {"type": "TemplateProcessing",
           "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
           "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}},
             {"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
           "special_tokens": {"</s>": {"id": "</s>", "ids": [%d], "tokens": ["</s>"]}}},
         "model": {"type": "Unigram", "unk_id": %d, "byte_fallback": false}}
        """,
                    eos,
                    model.unknownId()))
            .getAsJsonObject();
    if (model.charsMap().length > 0) {
      JsonObject precompiled = new JsonObject();
      precompiled.addProperty("type", "Precompiled");
      precompiled.addProperty(
          "precompiled_charsmap", Base64.getEncoder().encodeToString(model.charsMap()));
      JsonArray normalizers = new JsonArray();
      normalizers.add(precompiled);
      normalizers.addAll(json.getAsJsonObject("normalizer").getAsJsonArray("normalizers"));
      json.getAsJsonObject("normalizer").add("normalizers", normalizers);
    }
    json.add("added_tokens", added);
    json.getAsJsonObject("model").add("vocab", vocabulary);
    return json;
  }

  private static JsonArray entry(String piece, double score) {
    JsonArray entry = new JsonArray();
    entry.add(piece);
    entry.add(score);
    return entry;
  }

  private static int extraIds(TokenizerFiles files) {
    return TokenizerFiles.integer(files.jsonOrEmpty("tokenizer_config.json").get("extra_ids"))
        .orElse(100);
  }
}
