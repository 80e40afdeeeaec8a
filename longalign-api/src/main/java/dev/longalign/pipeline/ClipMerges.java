package dev.longalign.pipeline;

import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;

/**
 * CLIP's vocabulary follows from its merges: every byte as a character, every byte that ends a
 * word, every merge, and the two special tokens (openai/CLIP, {@code simple_tokenizer.py}).
 */
final class ClipMerges {
  private static final String END_OF_WORD = "</w>";

  private ClipMerges() {}

  /**
   * {@code vocab.json}: token to id.
   *
   * @param merges {@code merges.txt}: a line of version, then two symbols a line
   */
  static JsonObject vocabulary(String merges) {
    JsonObject ids = new JsonObject();
    List<String> bytes = bytes();
    bytes.forEach(symbol -> ids.addProperty(symbol, ids.size()));
    bytes.forEach(symbol -> ids.addProperty(symbol + END_OF_WORD, ids.size()));
    merges
        .lines()
        .skip(1)
        .filter(line -> !line.isBlank())
        .forEach(line -> ids.addProperty(line.replace(" ", ""), ids.size()));
    ids.addProperty("<|startoftext|>", ids.size());
    ids.addProperty("<|endoftext|>", ids.size());
    return ids;
  }

  /** Printable bytes stand for themselves and come first; the others are shifted past 255. */
  private static List<String> bytes() {
    List<String> printable = new ArrayList<>();
    List<String> shifted = new ArrayList<>();
    for (char c = 0; c < 256; c++) {
      if (c >= '!' && c <= '~' || c >= '\u00a1' && c <= '\u00ac' || c >= '\u00ae') {
        printable.add(String.valueOf(c));
      } else {
        shifted.add(String.valueOf((char) (256 + shifted.size())));
      }
    }
    printable.addAll(shifted);
    return printable;
  }
}
