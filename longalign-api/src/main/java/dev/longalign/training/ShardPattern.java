package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.io.Reasons;
import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * File names of tar shards: one name, a directory, or a pattern in the last part of a path with
 * {@code {00000..00041}}, {@code {a,b}}, {@code *} and {@code ?}.
 */
final class ShardPattern {
  private static final Pattern BRACES = Pattern.compile("\\{([^{}]*)\\}");
  private static final Pattern RANGE = Pattern.compile("([0-9]{1,9})\\.\\.([0-9]{1,9})");
  private static final Pattern WILD = Pattern.compile("[*?{}]");
  private static final int MAX_FILES = 1_000_000;
  private static final int MAX_LISTED = 3;

  private ShardPattern() {}

  /** An existing file is taken for the file it is. */
  static boolean isPattern(String location) {
    return WILD.matcher(location).find() && !Files.exists(Path.of(location));
  }

  /** The location, from {@code base} if it is relative. */
  static String resolve(Path base, String location) {
    if (!WILD.matcher(location).find() || Files.exists(base.resolve(location))) {
      return base.resolve(location).normalize().toString();
    }
    return base.resolve(directory(location)).normalize() + "/" + name(location);
  }

  private static String directory(String location) {
    return location.substring(0, location.lastIndexOf('/') + 1);
  }

  private static String name(String location) {
    return location.substring(location.lastIndexOf('/') + 1);
  }

  /**
   * The shards, in the order of the pattern; those of a directory or wildcard by name.
   *
   * @throws LongAlignException if one that is named does not exist, or a wildcard finds none
   */
  static List<Path> files(String location) {
    if (!isPattern(location)) {
      Path path = Path.of(location);
      return Files.isDirectory(path) ? matching(path, "*.tar") : List.of(path);
    }
    Path directory = Path.of(directory(location));
    if (WILD.matcher(directory.toString()).find()) {
      throw new LongAlignException(
          "data: "
              + location
              + ": expected a pattern in the file's name only, found one in its directory");
    }
    List<Path> files = new ArrayList<>();
    List<Path> missing = new ArrayList<>();
    for (String name : expand(location, name(location))) {
      if (name.contains("*") || name.contains("?")) {
        files.addAll(matching(directory, name));
      } else {
        Path file = directory.resolve(name);
        files.add(file);
        if (!Files.isRegularFile(file)) {
          missing.add(file);
        }
      }
    }
    if (!missing.isEmpty()) {
      throw new LongAlignException(
          "data: "
              + location
              + ": "
              + missing.size()
              + " of "
              + files.size()
              + " shards do not exist: "
              + missing.subList(0, Math.min(MAX_LISTED, missing.size()))
              + (missing.size() > MAX_LISTED ? " and so on" : ""));
    }
    return files;
  }

  private static List<Path> matching(Path directory, String glob) {
    PathMatcher matcher = FileSystems.getDefault().getPathMatcher("glob:" + glob);
    try (Stream<Path> entries = Files.list(directory)) {
      List<Path> found =
          entries
              .filter(Files::isRegularFile)
              .filter(file -> matcher.matches(file.getFileName()))
              .filter(file -> !file.getFileName().toString().startsWith("."))
              .sorted()
              .toList();
      if (found.isEmpty()) {
        throw new LongAlignException("data: " + directory + ": no file that matches " + glob);
      }
      return found;
    } catch (IOException unreadable) {
      throw new LongAlignException(
          "data: " + directory + " cannot be listed: " + Reasons.of(unreadable), unreadable);
    }
  }

  /** Replaces the first braces by each of their values, and goes on with the rest. */
  private static List<String> expand(String location, String name) {
    Matcher braces = BRACES.matcher(name);
    if (!braces.find()) {
      return List.of(name);
    }
    List<String> names = new ArrayList<>();
    for (String value : values(location, braces.group(1))) {
      String one = name.substring(0, braces.start()) + value + name.substring(braces.end());
      names.addAll(expand(location, one));
      if (names.size() > MAX_FILES) {
        throw new LongAlignException("data: " + location + ": more than " + MAX_FILES + " files");
      }
    }
    return names;
  }

  private static List<String> values(String location, String inside) {
    Matcher range = RANGE.matcher(inside);
    if (!range.matches()) {
      return List.of(inside.split(",", -1));
    }
    int first = Integer.parseInt(range.group(1));
    int last = Integer.parseInt(range.group(2));
    if (last < first || last - first >= MAX_FILES) {
      throw new LongAlignException(
          "data: " + location + ": expected a range that goes up, found " + inside);
    }
    List<String> values = new ArrayList<>();
    for (int i = first; i <= last; i++) {
      values.add(String.format(Locale.ROOT, "%0" + range.group(1).length() + "d", i));
    }
    return values;
  }
}
