package dev.longalign.cli;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** {@code --threads N}: threads beyond the cores wait for each other, and a step takes minutes. */
final class Threads implements ITypeConverter<Integer> {
  static final String DESCRIPTION = "CPU threads, at most one per core, which is the default.";

  @Override
  public Integer convert(String text) {
    int cores = Runtime.getRuntime().availableProcessors();
    try {
      int threads = Integer.parseInt(text);
      if (threads >= 1) {
        return Math.min(threads, cores);
      }
    } catch (NumberFormatException e) {
      // Said below.
    }
    throw new TypeConversionException(
        "expected a number from 1 to " + cores + ", the cores of this machine, found " + text);
  }
}
