package dev.longalign.data;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.longalign.LongAlignException;
import dev.longalign.io.PictureFile;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.Set;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;

/** Files and small datasets for tests. */
public final class Fixtures {
  private Fixtures() {}

  /** Made by src/test/oracle/data_fixtures.py. */
  public static Path folder() {
    try {
      return Path.of(Fixtures.class.getResource("baseline.jpg").toURI()).getParent();
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Read from the class path: in other modules these files are in a jar. */
  public static byte[] bytes(String name) {
    try (InputStream in = Fixtures.class.getResourceAsStream(name)) {
      return Objects.requireNonNull(in, name).readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static byte[] read(Path file) {
    try {
      return Files.readAllBytes(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static Path write(Path file, byte[] bytes) {
    try {
      Files.createDirectories(file.getParent());
      return Files.write(file, bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static Path write(Path file, String text) {
    return write(file, text.getBytes(java.nio.charset.StandardCharsets.UTF_8));
  }

  /** A small PNG of one colour. */
  public static Path png(Path file, int rgb) {
    BufferedImage image = new BufferedImage(4, 3, BufferedImage.TYPE_INT_RGB);
    for (int i = 0; i < 12; i++) {
      image.setRGB(i % 4, i / 4, rgb);
    }
    try {
      Files.createDirectories(file.getParent());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    PictureFile.writePng(file, image, Map.of());
    return file;
  }

  /** A tar shard of files, in the order of the map. */
  public static Path tar(Path file, Map<String, byte[]> members) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (TarArchiveOutputStream tar = new TarArchiveOutputStream(bytes, "UTF-8")) {
      tar.setLongFileMode(TarArchiveOutputStream.LONGFILE_POSIX);
      tar.setAddPaxHeadersForNonAsciiNames(true);
      for (Map.Entry<String, byte[]> member : members.entrySet()) {
        TarArchiveEntry entry = new TarArchiveEntry(member.getKey());
        entry.setSize(member.getValue().length);
        tar.putArchiveEntry(entry);
        tar.write(member.getValue());
        tar.closeArchiveEntry();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return write(file, bytes.toByteArray());
  }

  /** A path with letters that not every system's file names can have. */
  static Path unicode(Path directory, String name) {
    try {
      return directory.resolve(name);
    } catch (InvalidPathException unsupported) {
      assumeTrue(false, "file names here are not Unicode (set LC_ALL=C.UTF-8)");
      throw unsupported;
    }
  }

  /** Numbers; some cannot be used. */
  static Dataset<Long> numbers(long size, Set<Long> bad) {
    return new Dataset<>() {
      @Override
      public OptionalLong size() {
        return size < 0 ? OptionalLong.empty() : OptionalLong.of(size);
      }

      @Override
      public Long example(long index) {
        if (bad.contains(index)) {
          throw new LongAlignException("number " + index + " is bad");
        }
        try {
          Thread.sleep(0, (int) (index * 7919 % 5) * 20_000); // threads finish out of order
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
        }
        return index;
      }

      @Override
      public String source() {
        return "numbers";
      }
    };
  }

  static <E> List<Batch<E>> take(DataLoader<E> loader, int count) {
    List<Batch<E>> batches = new ArrayList<>();
    while (batches.size() < count && loader.hasNext()) {
      batches.add(loader.next());
    }
    return batches;
  }
}
