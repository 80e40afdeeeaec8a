package dev.longalign.onnx.tokenizer;

/**
 * A token that is found in the text as it stands, before words are made: those that mark start, end
 * and padding, and those that were added to a vocabulary later.
 *
 * @param leftStrip whether it swallows white space before it
 * @param rightStrip whether it swallows white space after it
 * @param singleWord whether it counts only where no word goes on beside it
 * @param normalized whether it is searched for in the normalised text (fast tokenizers only)
 * @param special whether the tokenizer itself needs it
 */
record SpecialToken(
    String content,
    int id,
    boolean leftStrip,
    boolean rightStrip,
    boolean singleWord,
    boolean normalized,
    boolean special) {

  /** What transformers makes of a bare text. */
  static SpecialToken of(String content, int id, boolean special) {
    return new SpecialToken(content, id, false, false, false, !special, special);
  }

  /** From a text or an AddedToken object. */
  static SpecialToken parse(JsonValue json, int id, boolean special) {
    JsonValue content = json.get("content");
    if (!content.exists()) {
      return of(json.token(), id, special);
    }
    boolean marked = special || json.get("special").flag(false);
    return new SpecialToken(
        content.token(),
        id,
        json.get("lstrip").flag(false),
        json.get("rstrip").flag(false),
        json.get("single_word").flag(false),
        json.get("normalized").flag(!marked),
        marked);
  }

  SpecialToken withId(int newId) {
    return new SpecialToken(content, newId, leftStrip, rightStrip, singleWord, normalized, special);
  }
}
