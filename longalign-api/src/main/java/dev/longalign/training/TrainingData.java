package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.data.CaptionPolicy;
import dev.longalign.data.Dataset;
import dev.longalign.data.ImageFolderDataset;
import dev.longalign.data.ParquetColumns;
import dev.longalign.data.ParquetDataset;
import dev.longalign.data.TrainingExample;
import dev.longalign.data.WebDataset;
import dev.longalign.data.panels.PanelsDataset;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Objects;
import java.util.OptionalLong;

/**
 * Where training data comes from, as one line of text says it:
 *
 * <ul>
 *   <li>{@code panels}, {@code panels:short}, {@code panels:mixed}: the panels world, made as it
 *       goes; {@code panels:long:5000} are its first 5000 examples
 *   <li>a {@code .tar} file, a directory with some in it, {@code shards/{00000..00041}.tar} or
 *       {@code shards/*.tar}: WebDataset shards
 *   <li>a {@code .parquet} file, or a directory with some in it or below it; the pictures lie
 *       beside or in them, or where {@link Options#pictures} says
 *   <li>any other directory: pictures, each with its caption beside it
 *   <li>{@code cache:DIR}: features that were computed before, see {@link CachedFeatures}
 * </ul>
 *
 * A directory is looked at in this order, so img2dataset's tars are taken before the Parquet files
 * beside them; {@code webdataset:}, {@code parquet:} and {@code folder:} before a path say which is
 * meant.
 *
 * <pre>{@code
 * try (Dataset<TrainingExample> data = TrainingData.parse("captions/*.tar", base).open()) { ... }
 * }</pre>
 *
 * @param location a directory, file or pattern; {@code long} and so on for panels
 * @param count of the panels; empty: without end
 */
public record TrainingData(Kind kind, String location, OptionalLong count, Options options) {

  /** What the text names. */
  public enum Kind {
    PANELS,
    FOLDER,
    PARQUET,
    WEBDATASET,
    CACHE
  }

  /**
   * What the text does not say.
   *
   * @param pictures the directory of the pictures that Parquet files name; null: beside them
   * @param columns of Parquet files
   * @param captionKey where JSON files beside pictures have the caption
   * @param captions what becomes of empty and endless captions
   * @param seed of the panels
   */
  public record Options(
      Path pictures, ParquetColumns columns, String captionKey, CaptionPolicy captions, long seed) {
    /** Columns and keys as LongAlign's data has them; empty captions are skipped. */
    public static final Options DEFAULT =
        new Options(null, ParquetColumns.PATHS, "caption", CaptionPolicy.DEFAULT, 0);

    public Options {
      Objects.requireNonNull(columns, "columns");
      Objects.requireNonNull(captionKey, "captionKey");
      Objects.requireNonNull(captions, "captions");
    }

    public Options withPictures(Path directory) {
      return new Options(directory, columns, captionKey, captions, seed);
    }

    public Options withColumns(ParquetColumns other) {
      return new Options(pictures, other, captionKey, captions, seed);
    }

    public Options withCaptionKey(String key) {
      return new Options(pictures, columns, key, captions, seed);
    }

    public Options withCaptions(CaptionPolicy policy) {
      return new Options(pictures, columns, captionKey, policy, seed);
    }

    public Options withSeed(long value) {
      return new Options(pictures, columns, captionKey, captions, value);
    }
  }

  private static final String PANELS = "panels";
  private static final String EXPECTED =
      "panels[:long|short|mixed][:COUNT], a directory of pictures with captions, of .tar shards or"
          + " of .parquet files, one such file, a pattern like shards/{00000..00041}.tar, or"
          + " cache:DIR";

  public TrainingData {
    Objects.requireNonNull(kind, "kind");
    Objects.requireNonNull(location, "location");
    Objects.requireNonNull(options, "options");
  }

  /** Parses with the default options. */
  public static TrainingData parse(String source, Path base) {
    return parse(source, base, Options.DEFAULT);
  }

  /**
   * Parses, and looks at files as far as is needed to tell the kind.
   *
   * @param base relative paths start from here
   * @throws LongAlignException if the text means nothing, or what it names is not there
   */
  public static TrainingData parse(String source, Path base, Options options) {
    try {
      return parsed(source.strip(), base, options);
    } catch (InvalidPathException invalid) {
      throw new LongAlignException(
          "data: expected " + EXPECTED + ", found what is no path: " + invalid.getReason(),
          invalid);
    }
  }

  private static TrainingData parsed(String text, Path base, Options options) {
    if (text.isEmpty()) {
      throw new LongAlignException("data: expected " + EXPECTED + ", found nothing");
    } else if (text.matches("[a-z0-9]+://.*")) {
      throw new LongAlignException(
          "data: " + text + " is an address; nothing is downloaded here: expected " + EXPECTED);
    } else if (text.equals(PANELS) || text.startsWith(PANELS + ":")) {
      return panels(text, options);
    }
    for (Kind kind : Kind.values()) {
      String prefix = kind.name().toLowerCase(Locale.ROOT) + ":";
      if (text.startsWith(prefix)) {
        String location = ShardPattern.resolve(base, text.substring(prefix.length()));
        return new TrainingData(kind, location, OptionalLong.empty(), options);
      }
    }
    String location = ShardPattern.resolve(base, text);
    return new TrainingData(kindOf(location), location, OptionalLong.empty(), options);
  }

  private static TrainingData panels(String text, Options options) {
    PanelsDataset.Captions captions = PanelsDataset.Captions.LONG;
    OptionalLong count = OptionalLong.empty();
    String[] parts = text.split(":", -1);
    for (int i = 1; i < parts.length; i++) {
      String part = parts[i];
      if (i == 1 && part.matches("long|short|mixed")) {
        captions = PanelsDataset.Captions.valueOf(part.toUpperCase(Locale.ROOT));
      } else if (count.isEmpty() && part.matches("[1-9][0-9]{0,11}")) {
        count = OptionalLong.of(Long.parseLong(part));
      } else {
        throw new LongAlignException(
            "data: expected panels[:long|short|mixed][:COUNT], found " + text);
      }
    }
    return new TrainingData(Kind.PANELS, captions.name().toLowerCase(Locale.ROOT), count, options);
  }

  private static Kind kindOf(String location) {
    if (ShardPattern.isPattern(location)) {
      return Kind.WEBDATASET;
    }
    Path path = Path.of(location);
    String name = String.valueOf(path.getFileName()).toLowerCase(Locale.ROOT);
    if (Files.isDirectory(path)) {
      return DataFiles.kindOfDirectory(path);
    } else if (!Files.exists(path)) {
      throw new LongAlignException(
          "data: " + path + " does not exist; expected " + EXPECTED + ". Check the path");
    } else if (name.endsWith(".tar")) {
      return Kind.WEBDATASET;
    } else if (name.endsWith(".parquet")) {
      return Kind.PARQUET;
    }
    throw new LongAlignException("data: expected " + EXPECTED + ", found the file " + path);
  }

  /**
   * Opens the pictures.
   *
   * @throws LongAlignException if files are missing or unreadable, or there is nothing usable in
   *     them; or of a {@link Kind#CACHE}, which has no pictures
   */
  public Dataset<TrainingExample> open() {
    return switch (kind) {
      case PANELS -> {
        PanelsDataset.Captions captions =
            PanelsDataset.Captions.valueOf(location.toUpperCase(Locale.ROOT));
        yield count.isPresent()
            ? PanelsDataset.of(captions, options.seed, count.getAsLong())
            : PanelsDataset.endless(captions, options.seed);
      }
      case FOLDER ->
          ImageFolderDataset.open(Path.of(location), options.captions, options.captionKey);
      case PARQUET -> {
        Path files = Path.of(location);
        Path beside = Files.isDirectory(files) ? files : files.toAbsolutePath().getParent();
        yield ParquetDataset.open(
            files,
            options.pictures == null ? beside : options.pictures,
            options.columns,
            options.captions);
      }
      case WEBDATASET ->
          WebDataset.open(ShardPattern.files(location), options.captions, options.captionKey);
      case CACHE ->
          throw new LongAlignException(
              "data: " + this + " holds features, expected pictures with captions");
    };
  }

  /**
   * What decides the examples, in a few words and a hash: for {@link dev.longalign.data.FeatureKey}
   * and model cards. The hash is over names and sizes of the files, not their content, and not over
   * the place where they lie; panels are named by their seed.
   */
  public String description() {
    if (kind == Kind.PANELS) {
      String many = count.isPresent() ? count.getAsLong() + " examples" : "endless";
      return "panels (" + location + ", seed " + options.seed + ", " + many + ")";
    }
    String name = kind.name().toLowerCase(Locale.ROOT);
    return name + " " + DataFiles.name(location) + " (" + DataFiles.describe(this) + ")";
  }

  /** As {@link #parse} reads it. */
  @Override
  public String toString() {
    String name = kind.name().toLowerCase(Locale.ROOT) + ":" + location;
    return count.isPresent() ? name + ":" + count.getAsLong() : name;
  }
}
