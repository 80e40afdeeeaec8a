package dev.longalign;

import dev.longalign.io.GenerationParameters;
import dev.longalign.io.PictureFile;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The settings inside a PNG.
 *
 * @param request repeats the picture, with its own seed alone; without its init image, which is not
 *     inside
 * @param provenance what made it, if the file tells
 * @param fromInitImage whether it was made from another picture (img2img)
 */
public record PictureSettings(
    SampleRequest request, Optional<Provenance> provenance, boolean fromInitImage) {

  /**
   * Reads our own chunk of a PNG, or the {@code parameters} chunk of another program's.
   *
   * @throws LongAlignException if the file is no picture or does not say how it was made
   */
  public static PictureSettings read(Path png) {
    Map<String, String> texts = PictureFile.texts(png);
    String own = texts.get(SettingsJson.CHUNK);
    if (own != null) {
      return SettingsJson.read(own, png.toString());
    }
    String parameters = texts.get(GenerationParameters.KEYWORD);
    if (parameters != null) {
      return ParametersText.read(parameters, png.toString());
    }
    throw new LongAlignException(
        png
            + ": expected a PNG with a text chunk '"
            + SettingsJson.CHUNK
            + "' or '"
            + GenerationParameters.KEYWORD
            + "', found "
            + (texts.isEmpty() ? "no text chunks" : texts.keySet())
            + "; the settings are lost where a picture was converted or uploaded");
  }

  /** The text chunks of one picture of a resolved request, by keyword. */
  static Map<String, String> chunks(SampleRequest request, long seed, Provenance provenance) {
    Map<String, String> chunks = new LinkedHashMap<>();
    chunks.put(GenerationParameters.KEYWORD, ParametersText.write(request, seed, provenance));
    chunks.put(SettingsJson.CHUNK, SettingsJson.write(request, seed, provenance));
    return chunks;
  }
}
