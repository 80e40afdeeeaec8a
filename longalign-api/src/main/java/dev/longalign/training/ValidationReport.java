package dev.longalign.training;

import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a {@link Validation} found.
 *
 * @param step how many had been made
 * @param pictures may be empty
 * @param values by name; may be empty
 */
public record ValidationReport(long step, List<Picture> pictures, Map<String, Double> values) {

  /**
   * A sampled picture.
   *
   * @param name the same at every validation
   * @param file where it is; null if it could not be written
   */
  public record Picture(String name, String prompt, long seed, BufferedImage image, Path file) {}

  public ValidationReport {
    pictures = List.copyOf(pictures);
    values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
  }
}
