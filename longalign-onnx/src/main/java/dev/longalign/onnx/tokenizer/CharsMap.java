package dev.longalign.onnx.tokenizer;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.BitSet;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/**
 * SentencePiece's precompiled character map: what stands for a character, or for a short cluster of
 * them, before a text is cut into pieces. The file holds a double-array trie (Darts-clone: a unit
 * is a label, an offset and whether a value follows) over UTF-8 bytes, then the replacements, each
 * ended by a zero byte. All that a text can reach is checked when it is read. Thread-safe.
 *
 * <p>It is applied as Hugging Face's tokenizers does: a grapheme cluster of less than six bytes is
 * looked up whole, and the shortest beginning that has a replacement replaces all of it; else its
 * characters are looked up one by one.
 */
final class CharsMap {
  private static final int WHOLE_CLUSTER_BYTES = 6;
  private static final int MAX_REPLACEMENT_BYTES = 128; // the longest of Unicode has 33

  private final int[] units;
  private final Map<Integer, String> replacements = new HashMap<>(); // by value of the trie

  /**
   * @throws IOException saying what is damaged
   */
  CharsMap(byte[] file) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    long bytes = in.remaining() < 4 ? -1 : Integer.toUnsignedLong(in.getInt());
    if (bytes < 4 || bytes > in.remaining()) {
      throw new IOException("a character map whose table is cut off");
    }
    units = new int[(int) (bytes / 4)];
    in.asIntBuffer().get(units);
    check(file, 4 + 4 * units.length);
  }

  /** Walks through all states of the trie and collects the replacements. */
  private void check(byte[] file, int pool) throws IOException {
    try {
      StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(file, pool, file.length - pool));
    } catch (CharacterCodingException e) {
      throw new IOException("a character map whose replacements are not UTF-8", e);
    }
    BitSet seen = new BitSet(units.length);
    Deque<Integer> open = new ArrayDeque<>();
    open.add(inside(offset(units[0])));
    while (!open.isEmpty()) {
      int state = open.remove();
      if (seen.get(state)) {
        continue;
      }
      seen.set(state);
      for (int label = 1; label < 256; label++) {
        int unit = units[inside(state ^ label)];
        if (label(unit) == label) {
          int next = inside(state ^ label ^ offset(unit));
          open.add(next);
          if (hasValue(unit)) {
            collect(file, pool, units[next] & Integer.MAX_VALUE);
          }
        }
      }
    }
  }

  private int inside(int place) throws IOException {
    if (place >= units.length) {
      throw new IOException("a character map that leads to unit " + place + " of " + units.length);
    }
    return place;
  }

  private void collect(byte[] file, int pool, int value) throws IOException {
    int length = file.length - pool;
    // A continuation byte is in the middle of a character.
    if (value > length || value < length && (file[pool + value] & 0xC0) == 0x80) {
      throw new IOException(
          "a character map with a replacement at byte " + value + " of " + length);
    }
    int end = value;
    while (end < length && file[pool + end] != 0) {
      end++;
    }
    if (end - value > MAX_REPLACEMENT_BYTES) {
      throw new IOException("a character map with a replacement of " + (end - value) + " bytes");
    }
    replacements.put(value, new String(file, pool + value, end - value, StandardCharsets.UTF_8));
  }

  private static int label(int unit) {
    return unit & (1 << 31 | 0xFF);
  }

  private static boolean hasValue(int unit) {
    return (unit & 1 << 8) != 0;
  }

  private static int offset(int unit) {
    return unit >>> 10 << ((unit & 1 << 9) >>> 6);
  }

  Slice apply(Slice slice) {
    String text = slice.text();
    StringBuilder out = new StringBuilder(text.length());
    int leading = 0;
    for (int at = 0; at < text.length(); ) {
      int end = GraphemeClusters.end(text, at);
      boolean whole =
          utf8Length(text, at, end) < WHOLE_CLUSTER_BYTES && find(text, at, end) != null;
      while (at < end) {
        int next = whole ? end : at + Character.charCount(text.codePointAt(at));
        String found = find(text, at, next);
        boolean first = slice.leading() > (out.length() == 0 ? 0 : at);
        boolean single = next - at == Character.charCount(text.codePointAt(at));
        if (found == null) {
          out.append(text, at, next);
        } else {
          out.append(found);
        }
        if (first && out.length() > leading) {
          // Of what replaces several characters, only the first stands for the first of them.
          leading = single ? out.length() : leading + Character.charCount(out.codePointAt(leading));
        }
        at = next;
      }
    }
    return new Slice(out.toString(), leading);
  }

  /** What replaces the shortest beginning that has a replacement, or null. */
  private String find(String text, int from, int to) {
    int state = offset(units[0]);
    for (int at = from; at < to; ) {
      int c = text.codePointAt(at);
      at += Character.charCount(c);
      int bytes = utf8Length(c);
      for (int i = bytes - 1; i >= 0; i--) {
        int label =
            i < bytes - 1
                ? 0x80 | c >> 6 * i & 0x3F
                : bytes == 1 ? c : (0xF00 >> bytes & 0xFF) | c >> 6 * i;
        int unit = units[state ^ label];
        if (label == 0 || label(unit) != label) {
          return null;
        }
        state ^= label ^ offset(unit);
        if (hasValue(unit)) {
          return replacements.get(units[state] & Integer.MAX_VALUE);
        }
      }
    }
    return null;
  }

  private static int utf8Length(String text, int from, int to) {
    int length = 0;
    for (int at = from; at < to && length < WHOLE_CLUSTER_BYTES; at++) {
      length += utf8Length(text.codePointAt(at));
      at += Character.isHighSurrogate(text.charAt(at)) ? 1 : 0;
    }
    return length;
  }

  private static int utf8Length(int c) {
    return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  }
}
