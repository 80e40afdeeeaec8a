package dev.longalign.text;

import java.util.List;

/** Text to token ids. Thread-safe. */
public interface Tokenizer extends AutoCloseable {

  /** The ids of the whole text with its special tokens, neither padded nor truncated. */
  int[] encode(String text);

  /** {@link #encode} for many texts at once. */
  List<int[]> encodeAll(List<String> texts);

  /** The vocabulary entry of an id, as written in the tokenizer's files; used in reports. */
  String token(int id);

  /** One more than the largest id that it gives. */
  int size();

  /** The id put before the text (CLIP's start of text), or -1 if there is none. */
  int bosId();

  int eosId();

  int padId();

  /** The longest sequence its model can read, special tokens included. */
  int modelMaxLength();

  /**
   * Ids of {@code texts} as a rectangle of {@code length} columns: what is longer is cut (the last
   * id kept is then {@link #eosId()}), what is shorter is filled up with {@link #padId()}.
   */
  static int[][] pad(List<int[]> encoded, int length, int padId, int eosId) {
    int[][] rows = new int[encoded.size()][length];
    for (int i = 0; i < rows.length; i++) {
      int[] ids = encoded.get(i);
      for (int j = 0; j < length; j++) {
        rows[i][j] = j < ids.length ? ids[j] : padId;
      }
      if (ids.length > length) {
        rows[i][length - 1] = eosId;
      }
    }
    return rows;
  }

  @Override
  void close();
}
