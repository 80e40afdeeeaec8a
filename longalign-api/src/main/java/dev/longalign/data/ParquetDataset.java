package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.Reasons;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.stream.Stream;

/**
 * Rows of Parquet files, as Hugging Face has them: a caption, and either the path of a picture
 * (found below a directory) or the picture itself.
 *
 * <p>Captions and paths are copied, once, into a temporary file of their size, so that any row is
 * at hand in any order. Embedded pictures are read by row groups, of which the last few stay in
 * memory: files with row groups of some hundred pictures (Hugging Face's own) suit shuffling best.
 *
 * <pre>{@code
 * try (ParquetDataset data = ParquetDataset.open(Path.of("LongAlign"))) { ... }   // *.parquet in it
 * }</pre>
 *
 * <p>Needs {@code com.jerolba:carpet-record} on the class path, which the command line has and the
 * library leaves to those who want it.
 */
public final class ParquetDataset implements Dataset<TrainingExample> {
  private static final int CACHED_GROUPS = 4;

  private final Path source;
  private final Path pictures;
  private final List<ParquetRows> files;
  private final long[] firsts;
  private final RowSpool spool;
  private final CaptionPolicy captions;
  private final Map<String, List<byte[]>> groups =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, List<byte[]>> eldest) {
          return size() > CACHED_GROUPS;
        }
      };

  private ParquetDataset(
      Path source, Path pictures, List<ParquetRows> files, RowSpool spool, CaptionPolicy captions) {
    this.source = source;
    this.pictures = pictures.toAbsolutePath().normalize();
    this.files = files;
    this.spool = spool;
    this.captions = captions;
    this.firsts = new long[files.size() + 1];
    for (int i = 0; i < files.size(); i++) {
      firsts[i + 1] = firsts[i] + files.get(i).rows();
    }
  }

  /** Opens with columns {@code caption} and {@code path}, pictures beside the files. */
  public static ParquetDataset open(Path fileOrDirectory) {
    Path directory =
        Files.isDirectory(fileOrDirectory)
            ? fileOrDirectory
            : fileOrDirectory.toAbsolutePath().getParent();
    return open(fileOrDirectory, directory, ParquetColumns.PATHS, CaptionPolicy.DEFAULT);
  }

  /**
   * Opens a Parquet file, or all of a directory and what is below it, ordered by path.
   *
   * @param pictures the directory that the paths are relative to; nothing outside of it is read
   * @throws LongAlignException if a file cannot be read or lacks a column
   */
  public static ParquetDataset open(
      Path fileOrDirectory, Path pictures, ParquetColumns columns, CaptionPolicy captions) {
    Objects.requireNonNull(captions, "captions");
    List<Path> paths = list(fileOrDirectory);
    RowSpool spool = RowSpool.create();
    try {
      List<ParquetRows> files = new ArrayList<>();
      for (Path path : paths) {
        ParquetRows rows = ParquetRows.open(path, columns);
        rows.copyTo(spool);
        files.add(rows);
      }
      return new ParquetDataset(fileOrDirectory, pictures, List.copyOf(files), spool, captions);
    } catch (LinkageError absent) {
      spool.close();
      throw new LongAlignException(
          "reading Parquet needs the library com.jerolba:carpet-record on the class path; add it"
              + " as a dependency ("
              + absent
              + ")",
          absent);
    } catch (RuntimeException failed) {
      spool.close();
      throw failed;
    }
  }

  private static List<Path> list(Path fileOrDirectory) {
    if (Files.isRegularFile(fileOrDirectory)) {
      return List.of(fileOrDirectory);
    } else if (!Files.isDirectory(fileOrDirectory)) {
      throw new LongAlignException(fileOrDirectory + ": no such file or directory");
    }
    try (Stream<Path> files = Files.walk(fileOrDirectory)) {
      List<Path> found =
          files
              .filter(Files::isRegularFile)
              .filter(file -> file.getFileName().toString().endsWith(".parquet"))
              .sorted()
              .toList();
      if (found.isEmpty()) {
        throw new LongAlignException(fileOrDirectory + ": no .parquet files in it or below it");
      }
      return found;
    } catch (IOException | UncheckedIOException unreadable) {
      throw new LongAlignException(
          fileOrDirectory + " cannot be listed: " + Reasons.of(unreadable), unreadable);
    }
  }

  @Override
  public OptionalLong size() {
    return OptionalLong.of(firsts[files.size()]);
  }

  @Override
  public TrainingExample example(long index) {
    Objects.checkIndex(index, firsts[files.size()]);
    int found = Arrays.binarySearch(firsts, index);
    int file = found >= 0 ? found : -found - 2;
    while (firsts[file + 1] == index) {
      file++; // behind files without rows
    }
    ParquetRows rows = files.get(file);
    long row = index - firsts[file];
    RowSpool.Row texts = spool.row(index);
    String name = texts.path() == null ? "" : " (" + texts.path() + ")";
    String id = rows.path() + " row " + row + name;
    return captions.example(id, texts.caption(), () -> picture(id, rows, row, texts.path()));
  }

  private RgbPicture picture(String id, ParquetRows rows, long row, String path) {
    if (rows.embeds()) {
      byte[] bytes = embedded(rows, row);
      if (bytes != null) {
        return RgbPicture.read(id, bytes);
      }
    }
    if (path == null || path.isEmpty()) {
      throw new LongAlignException(id + ": the row has no picture");
    }
    try {
      return RgbPicture.read(resolve(id, path));
    } catch (LongAlignException damaged) {
      String message = damaged.getMessage();
      throw new LongAlignException(message.startsWith(id) ? message : id + ": " + message, damaged);
    }
  }

  private byte[] embedded(ParquetRows rows, long row) {
    int group = rows.group(row);
    String key = rows.path() + "#" + group;
    List<byte[]> pictures;
    synchronized (groups) {
      pictures = groups.get(key);
    }
    if (pictures == null) { // two threads may both read it: the result is the same
      pictures = rows.pictures(group);
      synchronized (groups) {
        groups.put(key, pictures);
      }
    }
    return pictures.get(Math.toIntExact(row - rows.firstRow(group)));
  }

  /** The file of a path; names that were composed on another system are found too. */
  private Path resolve(String id, String path) {
    Path first = null;
    for (Normalizer.Form form :
        new Normalizer.Form[] {null, Normalizer.Form.NFC, Normalizer.Form.NFD}) {
      Path file;
      try {
        String name = form == null ? path : Normalizer.normalize(path, form);
        file = pictures.resolve(name).normalize();
      } catch (InvalidPathException invalid) {
        throw new LongAlignException(
            id + ": no path of a file here: " + invalid.getMessage(), invalid);
      }
      if (!file.startsWith(pictures)) {
        throw new LongAlignException(id + ": the path leads out of " + pictures);
      }
      if (Files.isRegularFile(file)) {
        return file;
      }
      first = first == null ? file : first;
    }
    return first;
  }

  @Override
  public String source() {
    return source.toString();
  }

  @Override
  public void close() {
    spool.close();
  }
}
