package dev.longalign.onnx.tokenizer;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Collectors;

/** The tables that ship inside this package. */
final class Resources {
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

  /** The lines of a table, without comments (#) and blank lines. */
  static List<String> lines(String name) {
    return text(name)
        .lines()
        .filter(s -> !s.isBlank() && !s.startsWith("#"))
        .collect(Collectors.toList());
  }
}
