package dev.longalign.cli;

import dev.longalign.io.Seeds;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** {@code --seed N}: 64 bits, signed or unsigned, as torch and other programs write them. */
final class SeedOption implements ITypeConverter<Long> {
  @Override
  public Long convert(String text) {
    try {
      return Seeds.parse(text);
    } catch (NumberFormatException e) {
      throw new TypeConversionException(
          "expected a whole number from -2^63 to 2^64-1, found '" + text + "'");
    }
  }
}
