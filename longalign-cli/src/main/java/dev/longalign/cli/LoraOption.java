package dev.longalign.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * {@code --lora PATH[:SCALE]}.
 *
 * @param scale how much of it is merged, 1 if not given
 */
record LoraOption(Path path, float scale) {

  /** A file whose name ends like a scale is taken for the file it is. */
  static final class Converter implements ITypeConverter<LoraOption> {
    @Override
    public LoraOption convert(String text) {
      int colon = text.lastIndexOf(':');
      if (colon <= 0 || Files.exists(Path.of(text))) {
        return new LoraOption(Path.of(text), 1f);
      }
      String scale = text.substring(colon + 1);
      try {
        float value = Float.parseFloat(scale);
        if (Float.isFinite(value)) {
          return new LoraOption(Path.of(text.substring(0, colon)), value);
        }
      } catch (NumberFormatException e) {
        // Said below, with the text that the user wrote.
      }
      throw new TypeConversionException(
          "expected PATH or PATH:SCALE with a number for SCALE, found '" + text + "'");
    }
  }
}
