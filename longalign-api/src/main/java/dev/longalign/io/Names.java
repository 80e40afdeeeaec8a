package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/** Names and texts from files: how they are shown, and what paths they stand for. */
public final class Names {
  private static final int MAX_COMPARED = 20_000;
  private static final int MAX_LENGTH = 200;
  private static final int MAX_LISTED = 8;

  private Names() {}

  /** The last two parts of a path: {@code unet/config.json}. */
  static String of(Path path) {
    Path absolute = path.toAbsolutePath().normalize();
    int count = absolute.getNameCount();
    return count < 2
        ? absolute.toString()
        : printable(absolute.subpath(count - 2, count).toString());
  }

  static LongAlignException missing(String source, String name, Collection<String> names) {
    String found =
        names.isEmpty()
            ? "the file has no tensors"
            : "closest: " + String.join(", ", closest(name, names));
    return new LongAlignException(
        "tensor '"
            + printable(name)
            + "' is not in "
            + source
            + " ("
            + names.size()
            + " tensors; "
            + found
            + ")");
  }

  /** Up to three names by edit distance. */
  static List<String> closest(String wanted, Collection<String> names) {
    return names.stream()
        .limit(MAX_COMPARED)
        .map(name -> new Ranked(name, distance(wanted, name)))
        .sorted(Comparator.comparingInt(Ranked::distance).thenComparing(Ranked::name))
        .limit(3)
        .map(ranked -> "'" + printable(ranked.name()) + "'")
        .collect(Collectors.toList());
  }

  /** The name that somebody meant who wrote this one, as far as one can tell. */
  static Optional<String> similar(String wanted, Collection<String> names) {
    String lower = wanted.toLowerCase(Locale.ROOT);
    return names.stream()
        .map(name -> new Ranked(name, distance(lower, name.toLowerCase(Locale.ROOT))))
        .filter(
            ranked ->
                ranked.distance() <= Math.max(2, ranked.name().length() / 3)
                    || ranked.name().toLowerCase(Locale.ROOT).startsWith(lower))
        .min(Comparator.comparingInt(Ranked::distance).thenComparing(Ranked::name))
        .map(Ranked::name);
  }

  /**
   * The path that a text of a file gives, seen from a directory.
   *
   * @param source the file that has it, and where in it, for the message
   * @throws LongAlignException if no file can have that name here
   */
  public static Path path(Path directory, String text, String source) {
    try {
      return directory.resolve(text);
    } catch (InvalidPathException impossible) {
      String encoding = System.getProperty("sun.jnu.encoding", "?");
      boolean ascii = text.codePoints().allMatch(c -> c < 128);
      throw new LongAlignException(
          source
              + ": expected the path of a file, found '"
              + printable(text)
              + "'"
              + (ascii
                  ? ""
                  : ", which file names in the encoding "
                      + encoding
                      + " cannot express; set LC_ALL=C.UTF-8"),
          impossible);
    }
  }

  /**
   * As {@link #path}, for a file that must lie in the directory or below it.
   *
   * @throws LongAlignException also if the path is absolute, empty, or leads out ({@code ..})
   */
  public static Path relativePath(Path directory, String text, String source) {
    Path path = path(Path.of(""), text, source);
    boolean inside = !text.isBlank() && !path.isAbsolute() && !text.contains("\\");
    for (Path part : path) {
      inside &= !part.toString().equals("..");
    }
    if (!inside) {
      throw new LongAlignException(
          source
              + ": expected the path of a file below "
              + of(directory)
              + ", found '"
              + printable(text)
              + "'");
    }
    return directory.resolve(path);
  }

  /** A list for a message, of which only the first few are written out. */
  public static String some(Collection<String> names) {
    String first =
        names.stream().limit(MAX_LISTED).map(Names::printable).collect(Collectors.joining(", "));
    int more = names.size() - MAX_LISTED;
    return more > 0 ? first + " and " + more + " more" : first;
  }

  /** A name from an untrusted file, shortened and without control characters. */
  public static String printable(String text) {
    return shown(text, MAX_LENGTH, "");
  }

  /**
   * A text from an untrusted file with its lines: nothing in it moves a terminal's cursor, sets its
   * colours or turns the direction of writing.
   *
   * @param most characters that are shown
   */
  public static String printableText(String text, int most) {
    return shown(text, most, "\n\t");
  }

  private static String shown(String text, int most, String kept) {
    String shown = text.length() > most ? text.substring(0, most) + "..." : text;
    StringBuilder out = new StringBuilder(shown.length());
    shown
        .codePoints()
        .forEach(c -> out.appendCodePoint(harmless(c) || kept.indexOf(c) >= 0 ? c : '?'));
    return out.toString();
  }

  /** Not: controls, marks that reorder what is written, halves of pairs. */
  private static boolean harmless(int c) {
    boolean reorders = c >= 0x202A && c <= 0x202E || c >= 0x2066 && c <= 0x2069;
    boolean half = c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE;
    return !Character.isISOControl(c) && !reorders && !half;
  }

  private record Ranked(String name, int distance) {}

  private static int distance(String a, String b) {
    String left = a.substring(0, Math.min(a.length(), MAX_LENGTH));
    String right = b.substring(0, Math.min(b.length(), MAX_LENGTH));
    int[] row = new int[right.length() + 1];
    for (int j = 0; j < row.length; j++) {
      row[j] = j;
    }
    for (int i = 1; i <= left.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j < row.length; j++) {
        int substituted = diagonal + (left.charAt(i - 1) == right.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(substituted, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[right.length()] + Math.abs(a.length() - b.length()) / MAX_LENGTH;
  }
}
