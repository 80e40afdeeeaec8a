package dev.longalign.data;

import com.google.gson.JsonElement;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import dev.longalign.io.Reasons;
import dev.longalign.io.TextFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * A directory of pictures at any depth, each with a caption:
 *
 * <ul>
 *   <li>in a file of the same name beside it, looked for in this order: {@code cat.txt}, {@code
 *       cat.caption}, {@code cat.json} (an object with the caption under a key)
 *   <li>else in {@code metadata.jsonl} or {@code metadata.csv} of its directory or one above it,
 *       with columns {@code file_name} and {@code text}, or the caption under the same key
 * </ul>
 *
 * <p>Texts are UTF-8. Pictures are ordered by relative path; hidden files are left out. Links are
 * followed, to pictures and captions anywhere: a directory of somebody else's can so bring any file
 * that its reader may read into a caption.
 */
public final class ImageFolderDataset implements Dataset<TrainingExample> {
  /** What is tried; those that {@link dev.longalign.io.PictureFile} does not read are named. */
  private static final Set<String> PICTURES =
      Set.of(
          "jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff", "heic", "heif", "avif", "jxl");

  private static final Set<String> CAPTIONS = Set.of("txt", "caption", "json");
  private static final int NAMED = 3;

  private final Path root;
  private final List<Path> pictures;
  private final CaptionPolicy captions;
  private final String captionKey;
  private final Map<Path, String> table;

  /** Some files of a directory that are neither pictures nor captions, for messages. */
  private final Map<Path, List<String>> others;

  private ImageFolderDataset(
      Path root,
      List<Path> pictures,
      CaptionPolicy captions,
      String captionKey,
      Map<Path, String> table,
      Map<Path, List<String>> others) {
    this.root = root;
    this.pictures = pictures;
    this.captions = captions;
    this.captionKey = captionKey;
    this.table = table;
    this.others = others;
  }

  /** Lists a directory; JSON captions are under {@code caption}. */
  public static ImageFolderDataset open(Path directory) {
    return open(directory, CaptionPolicy.DEFAULT, "caption");
  }

  /**
   * Lists a directory.
   *
   * @param captionKey where JSON files have the caption
   * @throws LongAlignException if it cannot be read or has no pictures
   */
  public static ImageFolderDataset open(Path directory, CaptionPolicy captions, String captionKey) {
    if (!Files.isDirectory(directory)) {
      throw new LongAlignException(directory + ": expected a directory of pictures, found none");
    }
    Objects.requireNonNull(captions, "captions");
    Objects.requireNonNull(captionKey, "captionKey");
    Set<Path> pictures = new TreeSet<>(Comparator.comparing(ImageFolderDataset::name));
    Map<Path, String> table = new HashMap<>();
    Map<Path, List<String>> others = new HashMap<>();
    try (Stream<Path> files = Files.walk(directory, FileVisitOption.FOLLOW_LINKS)) {
      for (Path file : (Iterable<Path>) files::iterator) {
        Path relative = directory.relativize(file);
        if (isHidden(relative)) {
          continue;
        }
        if (isPicture(file)) {
          pictures.add(relative);
        } else if (Files.isRegularFile(file)) {
          if (CaptionTable.isTable(file)) {
            table.putAll(CaptionTable.read(CaptionTable.only(file.getParent()), captionKey));
          } else if (!CAPTIONS.contains(extension(file))) {
            List<String> some = others.computeIfAbsent(file.getParent(), any -> new ArrayList<>());
            if (some.size() < NAMED) {
              some.add(Names.printable(file.getFileName().toString()));
            }
          }
        }
      }
    } catch (IOException | UncheckedIOException unreadable) {
      throw new LongAlignException(
          directory + " cannot be listed: " + Reasons.of(unreadable), unreadable);
    }
    Path absolute = directory.toAbsolutePath().normalize();
    table.keySet().forEach(listed -> pictures.add(absolute.relativize(listed))); // absent ones, too
    if (pictures.isEmpty()) {
      throw new LongAlignException(
          directory + ": no pictures (.jpg, .png or .webp) in it or below it");
    }
    return new ImageFolderDataset(
        directory, List.copyOf(pictures), captions, captionKey, table, others);
  }

  /** Whether a file is tried as a picture, by its ending. */
  public static boolean isPicture(Path file) {
    return PICTURES.contains(extension(file));
  }

  static boolean isPicture(String extension) {
    return PICTURES.contains(extension);
  }

  /** Lower-case, without the dot; empty if there is none. */
  private static String extension(Path file) {
    String name = String.valueOf(file.getFileName());
    int dot = name.lastIndexOf('.');
    return dot < 0 ? "" : name.substring(dot + 1).toLowerCase(Locale.ROOT);
  }

  private static boolean isHidden(Path relative) {
    for (Path part : relative) {
      if (part.toString().startsWith(".")) {
        return true;
      }
    }
    return false;
  }

  /** The same on every system. */
  private static String name(Path relative) {
    return relative.toString().replace('\\', '/');
  }

  @Override
  public OptionalLong size() {
    return OptionalLong.of(pictures.size());
  }

  @Override
  public TrainingExample example(long index) {
    Path picture = root.resolve(pictures.get(Math.toIntExact(index)));
    return captions.example(picture.toString(), caption(picture), () -> RgbPicture.read(picture));
  }

  private String caption(Path picture) {
    String name = picture.getFileName().toString();
    String stem = name.substring(0, name.lastIndexOf('.') + 1);
    for (String extension : List.of("txt", "caption")) {
      Path text = picture.resolveSibling(stem + extension);
      if (Files.isRegularFile(text)) {
        return TextFile.read(text);
      }
    }
    Path json = picture.resolveSibling(stem + "json");
    if (Files.isRegularFile(json)) {
      return captionOf(json.toString(), TextFile.read(json), captionKey);
    }
    String listed = table.get(picture.toAbsolutePath().normalize());
    if (listed != null) {
      return listed;
    }
    List<String> unread = others.getOrDefault(picture.getParent(), List.of());
    throw new LongAlignException(
        picture
            + ": no caption; expected "
            + stem
            + "txt, .caption or .json beside it, or a line in metadata.jsonl or metadata.csv"
            + (unread.isEmpty() ? "" : "; " + String.join(", ", unread) + " there is not read"));
  }

  /** The caption of a JSON object; null counts as empty. */
  static String captionOf(String name, String json, String key) {
    try {
      JsonElement root = JsonParser.parseString(json);
      if (!root.isJsonObject() || !root.getAsJsonObject().has(key)) {
        throw new LongAlignException(name + ": expected a JSON object with the key '" + key + "'");
      }
      JsonElement caption = root.getAsJsonObject().get(key);
      if (caption.isJsonNull()) {
        return "";
      }
      if (!caption.isJsonPrimitive() || !caption.getAsJsonPrimitive().isString()) {
        throw new LongAlignException(name + ": the caption under '" + key + "' is not a string");
      }
      return caption.getAsString();
    } catch (JsonParseException invalid) {
      throw new LongAlignException(name + ": not valid JSON: " + Reasons.of(invalid), invalid);
    }
  }

  @Override
  public String source() {
    return root.toString();
  }
}
