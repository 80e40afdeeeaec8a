package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.data.TarSamples.Member;
import dev.longalign.data.TarSamples.Sample;
import dev.longalign.io.Names;
import dev.longalign.io.Reasons;
import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One tar file: where each sample's files lie, and their bytes. Thread-safe. */
final class TarShard implements AutoCloseable {
  private static final int BLOCK = 512;
  private static final long MAX_MEMBER = 1L << 30;
  private static final Logger LOG = LoggerFactory.getLogger(WebDataset.class);

  /** First bytes, name, and what undoes it. */
  private static final String[][] COMPRESSIONS = {
    {"\u001f\u008b", "gzip", "gunzip"},
    {"\u0028\u00b5\u002f\u00fd", "zstd", "unzstd"},
    {"BZh", "bzip2", "bunzip2"},
    {"\u00fd7zX", "xz", "unxz"}
  };

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
      String start = new String(in.readNBytes(4), StandardCharsets.ISO_8859_1);
      for (String[] kind : COMPRESSIONS) {
        if (start.startsWith(kind[0])) {
          throw new LongAlignException(
              path
                  + " is compressed with "
                  + kind[1]
                  + "; samples are read at any place, so decompress it once ("
                  + kind[2]
                  + ")");
        }
      }
    } catch (IOException unreadable) {
      throw new LongAlignException(path + " cannot be read: " + Reasons.of(unreadable), unreadable);
    }
  }

  private static List<Sample> scan(Path path) {
    TarSamples samples = new TarSamples();
    String damage = null;
    try (TarArchiveInputStream tar =
        new TarArchiveInputStream(
            new BufferedInputStream(new FileInputStream(path.toFile())),
            StandardCharsets.UTF_8.name())) {
      long size = Files.size(path);
      for (TarArchiveEntry entry = tar.getNextEntry(); entry != null; entry = tar.getNextEntry()) {
        long offset = tar.getBytesRead();
        if (entry.isFile() && offset + entry.getSize() > size) {
          damage =
              Names.printable(entry.getName()) + " goes beyond its end (an incomplete download?)";
          break;
        }
        Member member =
            new Member(entry.getName(), offset, (int) Math.min(entry.getSize(), MAX_MEMBER + 1));
        if (entry.isDirectory()) {
          continue;
        } else if (!entry.isFile() || entry.isSparse() || entry.getSize() > MAX_MEMBER) {
          samples.unused(entry.getName(), "a link, sparse, or larger than 1 GiB");
        } else if (member.key(true) == null) {
          samples.unused(entry.getName(), "hidden, or without an ending");
        } else {
          samples.add(member);
        }
      }
    } catch (IOException | RuntimeException broken) {
      damage = broken.getMessage();
    }
    if (damage == null && !hasEndMark(path)) {
      damage = "it has no end mark (an incomplete download?)";
    }
    samples.endGroup(damage != null); // what the damage has cut in two is part of the damage
    List<Sample> found = samples.samples();
    if (damage != null) {
      found.add(
          Sample.damaged(
              path + ": damaged after " + found.size() + " samples, the rest is lost: " + damage));
    }
    if (!samples.remarks().isEmpty()) {
      LOG.warn("{}: {}", path, samples.remarks());
    }
    return List.copyOf(found);
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
