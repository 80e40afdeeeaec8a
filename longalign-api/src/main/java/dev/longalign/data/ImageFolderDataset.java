package dev.longalign.data;

import com.google.gson.JsonElement;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.io.Reasons;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.Stream;

/**
 * A directory of pictures (.jpg, .jpeg, .png, .webp), at any depth, each with its caption beside it
 * in a file of the same name: {@code cat.jpg} with {@code cat.txt} (UTF-8), or {@code cat.json}, an
 * object with the caption under a key. Ordered by relative path; hidden files are left out.
 */
public final class ImageFolderDataset implements Dataset<TrainingExample> {
  static final Set<String> PICTURES = Set.of("jpg", "jpeg", "png", "webp");
  private static final long MAX_CAPTION_BYTES = 16L << 20;

  private final Path root;
  private final List<Path> pictures;
  private final CaptionPolicy captions;
  private final String captionKey;

  private ImageFolderDataset(
      Path root, List<Path> pictures, CaptionPolicy captions, String captionKey) {
    this.root = root;
    this.pictures = pictures;
    this.captions = Objects.requireNonNull(captions, "captions");
    this.captionKey = Objects.requireNonNull(captionKey, "captionKey");
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
    try (Stream<Path> files = Files.walk(directory, FileVisitOption.FOLLOW_LINKS)) {
      List<Path> pictures =
          files
              .filter(file -> PICTURES.contains(extension(file.getFileName().toString())))
              .map(directory::relativize)
              .filter(file -> !isHidden(file))
              .sorted(Comparator.comparing(ImageFolderDataset::name))
              .toList();
      if (pictures.isEmpty()) {
        throw new LongAlignException(
            directory + ": no pictures (.jpg, .png or .webp) in it or below it");
      }
      return new ImageFolderDataset(directory, pictures, captions, captionKey);
    } catch (IOException | UncheckedIOException unreadable) {
      throw new LongAlignException(
          directory + " cannot be listed: " + Reasons.of(unreadable), unreadable);
    }
  }

  /** Lower-case, without the dot; empty if there is none. */
  static String extension(String name) {
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
    String stem = name.substring(0, name.lastIndexOf('.'));
    Path text = picture.resolveSibling(stem + ".txt");
    if (Files.isRegularFile(text)) {
      return read(text);
    }
    Path json = picture.resolveSibling(stem + ".json");
    if (Files.isRegularFile(json)) {
      return captionOf(json.toString(), read(json), captionKey);
    }
    throw new LongAlignException(
        picture + ": no caption; expected " + stem + ".txt or " + stem + ".json beside it");
  }

  private static String read(Path file) {
    try {
      if (Files.size(file) > MAX_CAPTION_BYTES) {
        throw new LongAlignException(
            file + ": " + Files.size(file) + " bytes, too many for a caption");
      }
      String text = Files.readString(file);
      return text.startsWith("\uFEFF") ? text.substring(1) : text;
    } catch (CharacterCodingException invalid) {
      throw new LongAlignException(file + ": the caption is not valid UTF-8", invalid);
    } catch (IOException unreadable) {
      throw new LongAlignException(file + " cannot be read: " + Reasons.of(unreadable), unreadable);
    }
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
