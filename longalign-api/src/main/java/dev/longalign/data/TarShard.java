package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.Reasons;
import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;

/** One tar file: where each sample's files lie, and their bytes. Thread-safe. */
final class TarShard implements AutoCloseable {
  private static final int BLOCK = 512;
  private static final long MAX_MEMBER = 1L << 30;

  /** Where a file's bytes lie. */
  record Member(long offset, int length) {}

  /**
   * The files of one name, null where there is none; or, with {@code damage}, a place where the
   * shard cannot be read.
   */
  record Sample(String key, Member picture, Member text, Member json, String damage) {
    private Sample with(String extension, Member member) {
      if (ImageFolderDataset.PICTURES.contains(extension)) {
        return new Sample(key, member, text, json, null);
      }
      return switch (extension) {
        case "txt" -> new Sample(key, picture, member, json, null);
        case "json" -> new Sample(key, picture, text, member, null);
        default -> this;
      };
    }

    private boolean isWhole() {
      return picture != null && (text != null || json != null);
    }

    private boolean isEmpty() {
      return picture == null && text == null && json == null;
    }
  }

  private final Path path;
  private final RandomAccessFile file;
  private final List<Sample> samples;

  private TarShard(Path path, RandomAccessFile file, List<Sample> samples) {
    this.path = path;
    this.file = file;
    this.samples = samples;
  }

  static TarShard open(Path path) {
    if (!Files.isRegularFile(path)) {
      throw new LongAlignException(path + ": expected a tar shard, found no such file");
    }
    refuseCompressed(path);
    List<Sample> samples = scan(path);
    try {
      // Not a channel: that would be closed by an interrupt of any thread that reads.
      return new TarShard(path, new RandomAccessFile(path.toFile(), "r"), samples);
    } catch (IOException unreadable) {
      throw new LongAlignException(path + " cannot be read: " + Reasons.of(unreadable), unreadable);
    }
  }

  private static void refuseCompressed(Path path) {
    try (FileInputStream in = new FileInputStream(path.toFile())) {
      byte[] start = in.readNBytes(4);
      boolean gzip = start.length == 4 && start[0] == 0x1f && (start[1] & 255) == 0x8b;
      boolean zstd = start.length == 4 && start[0] == 0x28 && (start[1] & 255) == 0xb5;
      if (gzip || zstd) {
        throw new LongAlignException(
            path
                + " is compressed with "
                + (gzip ? "gzip" : "zstd")
                + "; samples are read at any place, so decompress it once ("
                + (gzip ? "gunzip" : "unzstd")
                + ")");
      }
    } catch (IOException unreadable) {
      throw new LongAlignException(path + " cannot be read: " + Reasons.of(unreadable), unreadable);
    }
  }

  private static List<Sample> scan(Path path) {
    List<Sample> samples = new ArrayList<>();
    Sample current = null;
    String damage = null;
    try (TarArchiveInputStream tar =
        new TarArchiveInputStream(
            new BufferedInputStream(new FileInputStream(path.toFile())),
            StandardCharsets.UTF_8.name())) {
      long size = Files.size(path);
      for (TarArchiveEntry entry = tar.getNextEntry(); entry != null; entry = tar.getNextEntry()) {
        String key = key(entry.getName());
        if (!entry.isFile() || entry.isSparse() || key == null) {
          continue;
        }
        long offset = tar.getBytesRead();
        if (offset + entry.getSize() > size) {
          damage = entry.getName() + " goes beyond its end (an incomplete download?)";
          break;
        }
        if (current == null || !current.key().equals(key)) {
          add(samples, current);
          current = new Sample(key, null, null, null, null);
        }
        if (entry.getSize() <= MAX_MEMBER) {
          Member member = new Member(offset, (int) entry.getSize());
          String extension = entry.getName().substring(key.length() + 1);
          current = current.with(extension.toLowerCase(Locale.ROOT), member);
        }
      }
    } catch (IOException | RuntimeException broken) {
      damage = broken.getMessage();
    }
    if (damage == null && !hasEndMark(path)) {
      damage = "it has no end mark (an incomplete download?)";
    }
    if (damage == null || current != null && current.isWhole()) {
      add(samples, current); // what the damage has cut in two is part of the damage
    }
    if (damage != null) {
      String reason =
          path + ": damaged after " + samples.size() + " samples, the rest is lost: " + damage;
      samples.add(new Sample("", null, null, null, reason));
    }
    return List.copyOf(samples);
  }

  /** An archive ends with zero blocks. */
  private static boolean hasEndMark(Path path) {
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "r")) {
      if (file.length() < BLOCK || file.length() % BLOCK != 0) {
        return false;
      }
      byte[] last = new byte[BLOCK];
      file.seek(file.length() - BLOCK);
      file.readFully(last);
      return Arrays.equals(last, new byte[BLOCK]);
    } catch (IOException unreadable) {
      throw new LongAlignException(path + " cannot be read: " + Reasons.of(unreadable), unreadable);
    }
  }

  private static void add(List<Sample> samples, Sample sample) {
    if (sample != null && !sample.isEmpty()) {
      samples.add(sample);
    }
  }

  /** The name up to the first dot of its last part; null for hidden files and those without dot. */
  private static String key(String name) {
    int base = name.lastIndexOf('/') + 1;
    int dot = name.indexOf('.', base);
    return dot <= base ? null : name.substring(0, dot);
  }

  Path path() {
    return path;
  }

  List<Sample> samples() {
    return samples;
  }

  boolean hasSamples() {
    return samples.stream().anyMatch(sample -> sample.damage() == null);
  }

  Optional<String> damage() {
    return samples.stream().filter(s -> s.damage() != null).findFirst().map(Sample::damage);
  }

  byte[] read(String id, Member member) {
    byte[] bytes = new byte[member.length()];
    synchronized (file) {
      try {
        file.seek(member.offset());
        file.readFully(bytes);
      } catch (EOFException shorter) {
        throw new LongAlignException(
            id + ": the shard is shorter than when it was opened", shorter);
      } catch (IOException unreadable) {
        throw new LongAlignException(id + " cannot be read: " + Reasons.of(unreadable), unreadable);
      }
    }
    return bytes;
  }

  @Override
  public void close() {
    try {
      file.close();
    } catch (IOException nothingWritten) {
      // A file that was only read loses nothing.
    }
  }
}
