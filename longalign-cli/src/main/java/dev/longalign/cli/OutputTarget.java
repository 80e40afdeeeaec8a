package dev.longalign.cli;

import dev.longalign.LongAlignException;
import dev.longalign.io.Reasons;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/**
 * Where pictures go: one file, or {@code 00.png}, {@code 01.png}, ... in a directory.
 *
 * @param path the file or directory
 * @param directory which of the two
 * @param digits of the numbers in a directory
 */
record OutputTarget(Path path, boolean directory, int digits) {

  /**
   * @param asked the {@code --out} option as written, or null
   * @param many whether a directory is meant where the name does not tell
   * @param pictures how many there will be
   * @throws LongAlignException before any work if the place cannot take them
   * @throws IllegalArgumentException if the name is that of another kind of picture
   */
  static OutputTarget of(String asked, boolean many, int pictures) {
    String text = asked != null ? asked : many || pictures > 1 ? "out" : "out.png";
    Path path = Paths.parse(text);
    String name = String.valueOf(path.getFileName()).toLowerCase(Locale.ROOT);
    boolean directory =
        pictures > 1
            || text.endsWith("/")
            || Files.isDirectory(path)
            || many && !name.endsWith(".png");
    if (!directory && name.matches(".*\\.(jpe?g|webp|gif|bmp|tiff?|avif|jxl)")) {
      throw new IllegalArgumentException(
          "--out " + text + ": expected a name that ends with .png, which is what is written");
    }
    if (directory && (Files.exists(path) ? !Files.isDirectory(path) : name.endsWith(".png"))) {
      throw new LongAlignException(
          "--out " + text + ": expected a directory for several pictures, found a file's name");
    }
    requireWritable(
        "--out " + text, directory ? path.toAbsolutePath() : path.toAbsolutePath().getParent());
    return new OutputTarget(path, directory, Math.max(2, Integer.toString(pictures - 1).length()));
  }

  /** What is missing of a directory is made when there is something to put into it. */
  static void requireWritable(String what, Path directory) {
    Path place = directory;
    while (place.getParent() != null && !Files.exists(place)) {
      place = place.getParent();
    }
    if (!Files.isDirectory(place) || !Files.isWritable(place)) {
      throw new LongAlignException(
          what
              + ": expected a directory that can be written, found that "
              + place
              + (Files.isDirectory(place)
                  ? " is read-only; choose another place"
                  : " is a file; choose another name"));
    }
  }

  /** The file of picture {@code index}, counted from 0; its directory is made if need be. */
  Path file(int index) {
    Path file =
        directory ? path.resolve(String.format(Locale.ROOT, "%0" + digits + "d.png", index)) : path;
    Path parent = file.toAbsolutePath().getParent();
    try {
      Files.createDirectories(parent);
    } catch (IOException e) {
      throw new LongAlignException(
          "--out " + path + ": the directory " + parent + " cannot be made: " + Reasons.of(e), e);
    }
    return file;
  }
}
