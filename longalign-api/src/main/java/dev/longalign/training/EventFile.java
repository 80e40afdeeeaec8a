package dev.longalign.training;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A file that grows by whole records, each of which is with the operating system when {@link
 * #append} returns. A full disk does not stop what the file tells about: it is warned of once, and
 * records are left out until there is space again.
 */
final class EventFile {
  private static final Logger LOG = LoggerFactory.getLogger(EventFile.class);

  private final Path file;
  private long end;
  private boolean warned;

  /**
   * @param end the file's length that counts; what is behind it is cut off by the next record
   */
  EventFile(Path file, long end) {
    this.file = file;
    this.end = end;
  }

  // No FileChannel: that closes, and writes nothing, when its thread is interrupted, which is how
  // training is stopped.
  void append(byte[] record) {
    try {
      Files.createDirectories(file.toAbsolutePath().getParent());
      try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
        end = Math.min(end, out.length());
        try {
          if (out.length() > end) {
            out.setLength(end);
          }
          out.seek(end);
          out.write(record);
          end += record.length;
        } catch (IOException e) {
          cut(out, e);
          throw e;
        }
      }
    } catch (IOException e) {
      warn(e);
    }
  }

  private void cut(RandomAccessFile out, IOException failure) {
    try {
      out.setLength(end);
    } catch (IOException e) {
      failure.addSuppressed(e); // a device; of a file the next record cuts it
    }
  }

  private void warn(IOException e) {
    if (!warned) {
      warned = true;
      LOG.warn(
          "{} cannot be written ({}); training goes on without it, but a checkpoint would fail for"
              + " the same reason: see to it before the next one is due",
          file,
          e.getMessage());
    }
  }
}
