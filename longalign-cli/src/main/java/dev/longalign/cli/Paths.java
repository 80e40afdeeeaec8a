package dev.longalign.cli;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import picocli.CommandLine.TypeConversionException;

/** Options that name files. */
final class Paths {
  private Paths() {}

  /**
   * @throws TypeConversionException if no file can have this name here
   */
  static Path parse(String text) {
    if (text.isEmpty()) {
      throw new TypeConversionException("expected a path, found an empty text");
    }
    try {
      return Path.of(text);
    } catch (InvalidPathException e) {
      throw new TypeConversionException(Failures.message(e));
    }
  }
}
