package dev.longalign.onnx.tokenizer;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * What a tokenizer's directory says about added tokens and the tokens of its own, by transformers'
 * rules: {@code added_tokens_decoder} of tokenizer_config.json; else, from before there was one,
 * {@code added_tokens.json} and the list of {@code tokenizer.json}, with special_tokens_map.json.
 *
 * @param byId the added tokens, ascending
 */
record AddedTokens(
    Map<Integer, SpecialToken> byId,
    Map<String, SpecialToken> roles,
    List<SpecialToken> additional) {
  private static final List<String> ROLES =
      List.of(
          "bos_token",
          "eos_token",
          "unk_token",
          "sep_token",
          "pad_token",
          "cls_token",
          "mask_token");

  static AddedTokens read(TokenizerFiles files) {
    JsonValue config = files.json("tokenizer_config.json");
    JsonValue decoder = config.get("added_tokens_decoder");
    JsonValue map = files.json("special_tokens_map.json");
    Map<String, SpecialToken> roles = new LinkedHashMap<>();
    List<SpecialToken> additional = new ArrayList<>();
    for (JsonValue source : decoder.exists() ? List.of(config) : List.of(config, map)) {
      for (String role : ROLES) {
        if (source.get(role).exists()) {
          roles.put(role, SpecialToken.parse(source.get(role), -1, true));
        }
      }
      source.get("additional_special_tokens").stream()
          .forEach(token -> additional.add(SpecialToken.parse(token, -1, true)));
    }
    Map<Integer, SpecialToken> byId = new TreeMap<>();
    if (decoder.exists()) {
      for (String id : decoder.keys()) {
        SpecialToken token = SpecialToken.parse(decoder.get(id), parseId(files, id), false);
        byId.put(token.id(), token);
      }
    } else {
      Set<String> special = new HashSet<>();
      roles.values().forEach(token -> special.add(token.content()));
      additional.forEach(token -> special.add(token.content()));
      JsonValue added = files.json("added_tokens.json");
      for (String content : added.keys()) {
        int id = added.get(content).id();
        byId.put(id, SpecialToken.of(content, id, special.contains(content)));
      }
      for (SpecialToken token : ofTokenizerJson(files.json("tokenizer.json"))) {
        byId.put(token.id(), token);
      }
    }
    return new AddedTokens(byId, roles, additional);
  }

  static List<SpecialToken> ofTokenizerJson(JsonValue json) {
    return json.get("added_tokens").stream()
        .map(token -> SpecialToken.parse(token, token.get("id").id(), false))
        .toList();
  }

  /** The token that plays a role, its id unknown. */
  SpecialToken role(String role, String otherwise) {
    return roles.getOrDefault(role, SpecialToken.of(otherwise, -1, true));
  }

  private static int parseId(TokenizerFiles files, String id) {
    try {
      int number = Integer.parseInt(id);
      if (number >= 0 && number < TokenizerFiles.MAX_TOKENS) {
        return number;
      }
    } catch (NumberFormatException e) {
      // refused below
    }
    throw files.damaged(
        "tokenizer_config.json", "ids as keys of added_tokens_decoder", "\"" + id + "\"", null);
  }
}
