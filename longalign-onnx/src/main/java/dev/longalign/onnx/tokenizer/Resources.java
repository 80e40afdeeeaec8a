package dev.longalign.onnx.tokenizer;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.BitSet;
import java.util.List;
import java.util.stream.Collectors;

/** The tables that ship inside this package. */
final class Resources {
  /** A table of characters that Java 17 does not know. */
  static final String NEWER = "newer-characters.txt";

  private Resources() {}

  static String text(String name) {
    try (InputStream in = Resources.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IllegalStateException(
            "resource " + name + " is missing from the jar of longalign-onnx");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read resource " + name, e);
    }
  }

  /** Takes a kind of characters, from {@code first} to {@code last}. */
  interface Range {
    void accept(char kind, int first, int last);
  }

  /** Reads a table of lines {@code kind first[-last] ...}, hexadecimal. */
  static void ranges(String name, Range action) {
    for (String line : lines(name)) {
      for (String range : line.substring(2).split(" ")) {
        String[] ends = range.split("-");
        int first = Integer.parseInt(ends[0], 16);
        action.accept(line.charAt(0), first, Integer.parseInt(ends[ends.length - 1], 16));
      }
    }
  }

  /** The characters of one kind in such a table. */
  static BitSet characters(String name, char wanted) {
    BitSet set = new BitSet();
    ranges(
        name,
        (kind, first, last) -> {
          if (kind == wanted) {
            set.set(first, last + 1);
          }
        });
    return set;
  }

  /** The lines of a table, without comments (#) and blank lines. */
  static List<String> lines(String name) {
    return text(name)
        .lines()
        .filter(s -> !s.isBlank() && !s.startsWith("#"))
        .collect(Collectors.toList());
  }
}
