package dev.longalign.cli;

import dev.longalign.LongAlignException;
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
   * @param many whether a directory is wanted even for one picture
   * @param pictures how many there will be
   * @throws LongAlignException before any work if the place cannot take them
   */
  static OutputTarget of(String asked, boolean many, int pictures) {
    boolean directory = many || pictures > 1;
    String text = asked != null ? asked : directory ? "out" : "out.png";
    Path path = Path.of(text);
    boolean looksLikeDirectory = text.endsWith("/") || Files.isDirectory(path);
    if (directory && !looksLikeDirectory) {
      String name = String.valueOf(path.getFileName()).toLowerCase(Locale.ROOT);
      if (Files.exists(path) || name.endsWith(".png")) {
        throw new LongAlignException(
            "--out " + text + ": expected a directory for several pictures, found a file's name");
      }
    }
    directory |= looksLikeDirectory;
    Path place = directory ? path : path.toAbsolutePath().getParent();
    try {
      Files.createDirectories(place);
    } catch (IOException e) {
      throw new LongAlignException(
          "--out " + text + ": the directory " + place + " cannot be made: " + e, e);
    }
    if (!Files.isWritable(place)) {
      throw new LongAlignException(
          "--out "
              + text
              + ": expected a directory that can be written, found that "
              + place
              + " is read-only; choose another place");
    }
    return new OutputTarget(path, directory, Math.max(2, Integer.toString(pictures - 1).length()));
  }

  /** The file of picture {@code index}, counted from 0. */
  Path file(int index) {
    return directory
        ? path.resolve(String.format(Locale.ROOT, "%0" + digits + "d.png", index))
        : path;
  }
}
