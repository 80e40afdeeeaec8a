package dev.longalign;

import dev.longalign.io.GenerationParameters;
import dev.longalign.io.Names;
import dev.longalign.io.PictureFile;
import dev.longalign.io.Sha256;
import java.awt.image.BufferedImage;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The settings inside a picture.
 *
 * <pre>{@code
 * PictureSettings settings = PictureSettings.read(png);
 * LongAlignBuilder builder = LongAlign.builder();
 * settings.provenance().ifPresent(builder::like);               // model, LoRAs, precision, ...
 * try (LongAlign longAlign = builder.build()) {
 *   settings.differences(settings.request(), longAlign.provenance())
 *       .forEach(System.err::println);                          // empty: the same picture
 *   longAlign.sample(settings.request()).save(again);
 * }
 * }</pre>
 *
 * @param request repeats the picture, with its own seed alone; without its init image, which is not
 *     inside
 * @param provenance what made it, if the file tells
 * @param fromInitImage whether it was made from another picture (img2img)
 * @param initImage SHA-256 of that picture's pixels, as {@link #hash} has it, if the file tells
 * @param notHonoured what the file says and this library does not do, a sentence each
 */
public record PictureSettings(
    SampleRequest request,
    Optional<Provenance> provenance,
    boolean fromInitImage,
    Optional<String> initImage,
    List<String> notHonoured) {

  public PictureSettings {
    notHonoured = List.copyOf(notHonoured);
  }

  /**
   * Reads our own settings of a picture, or the {@code parameters} of another program.
   *
   * @throws LongAlignException if the file is no picture or does not say how it was made, or a
   *     value in it cannot be used
   */
  public static PictureSettings read(Path picture) {
    return read(picture, SampleRequest.builder());
  }

  /**
   * Reads the settings that a request leaves open; what it says need not be usable in the file.
   *
   * @throws IllegalArgumentException if what {@code said} says is out of its range
   */
  public static PictureSettings read(Path picture, SampleRequestBuilder said) {
    said.build();
    Map<String, String> texts = PictureFile.texts(picture);
    String own = texts.get(SettingsJson.CHUNK);
    if (own != null) {
      return SettingsJson.read(own, picture.toString(), said);
    }
    String parameters = texts.get(GenerationParameters.KEYWORD);
    if (parameters != null) {
      return ParametersText.read(parameters, picture.toString(), said);
    }
    List<String> found = texts.keySet().stream().limit(8).map(Names::printable).toList();
    throw new LongAlignException(
        picture
            + ": expected a picture with settings under '"
            + SettingsJson.CHUNK
            + "' or '"
            + GenerationParameters.KEYWORD
            + "', found "
            + (found.isEmpty()
                ? "no text; the settings are lost where a picture was converted or uploaded"
                : found + ", which LongAlign does not read" + program(texts)));
  }

  private static String program(Map<String, String> texts) {
    boolean comfy = texts.containsKey("workflow") || texts.containsKey("prompt");
    return comfy ? " (a graph of ComfyUI); give prompt, seed and steps as options" : "";
  }

  /**
   * Why a picture may look otherwise if it is sampled here: a sentence for each thing that differs,
   * is not known, or is not honoured. Empty if it will be the same picture, as far as the settings
   * tell; changes made to the request on purpose are not in it.
   *
   * @param asked the request that will be sampled; of it, the init image is compared
   * @param here {@link LongAlign#provenance()}
   */
  public List<String> differences(SampleRequest asked, Provenance here) {
    List<String> found = new ArrayList<>(notHonoured);
    provenance.ifPresent(was -> found.addAll(was.differences(here)));
    Optional<String> image = asked.initImage().map(PictureSettings::hash);
    if (fromInitImage && image.isEmpty()) {
      found.add("init image: the picture was made from another one, here from none");
    } else if (!fromInitImage && provenance.isPresent() && image.isPresent()) {
      found.add("init image: the picture was made from none, here from one");
    } else if (fromInitImage && initImage.isEmpty()) {
      found.add("init image: whether it is the one of that time is not known, no hash was noted");
    } else if (fromInitImage && !initImage.equals(image)) {
      found.add("init image: its pixels differ from those that the picture was made from");
    }
    return found;
  }

  /**
   * SHA-256 of a picture's pixels, however they are stored: of the PPM file (P6, RGB, 8 bits) that
   * has them.
   */
  static String hash(BufferedImage picture) {
    int width = picture.getWidth();
    int height = picture.getHeight();
    Sha256 sha256 = new Sha256();
    sha256.update(("P6\n" + width + " " + height + "\n255\n").getBytes(StandardCharsets.US_ASCII));
    BufferedImage rgb = PictureFile.toRgb(picture);
    int[] row = new int[width];
    byte[] bytes = new byte[3 * width];
    for (int y = 0; y < height; y++) {
      rgb.getRGB(0, y, width, 1, row, 0, width);
      for (int x = 0; x < width; x++) {
        bytes[3 * x] = (byte) (row[x] >> 16);
        bytes[3 * x + 1] = (byte) (row[x] >> 8);
        bytes[3 * x + 2] = (byte) row[x];
      }
      sha256.update(bytes);
    }
    return sha256.hex();
  }

  /** The text chunks of one picture of a resolved request, by keyword. */
  static Map<String, String> chunks(SampleRequest request, long seed, Provenance provenance) {
    Map<String, String> chunks = new LinkedHashMap<>();
    chunks.put(GenerationParameters.KEYWORD, ParametersText.write(request, seed, provenance));
    chunks.put(SettingsJson.CHUNK, SettingsJson.write(request, seed, provenance));
    return chunks;
  }
}
