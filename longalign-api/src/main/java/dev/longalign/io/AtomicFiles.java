package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.BufferedOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Writes a file beside its target, forces it to disk and renames it: a reader sees the old file or
 * the new one, and a failure, of the disk or of the caller, leaves the old one and nothing else.
 */
public final class AtomicFiles {
  private static final int BUFFER = 1 << 16;
  private static final Pattern LEFT =
      Pattern.compile("\\..*\\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\.tmp");

  private AtomicFiles() {}

  /** Writes the content; the stream is buffered, and flushed and closed by {@link #write}. */
  @FunctionalInterface
  public interface Content {
    void writeTo(OutputStream out) throws IOException;
  }

  /**
   * Writes {@code target}, replacing what was there. Symbolic links are followed; a device or pipe
   * is written directly.
   *
   * @throws LongAlignException if it cannot be written; what the content itself throws comes
   *     through unchanged, except that an {@link IOException} is wrapped
   */
  public static void write(Path target, Content content) {
    write(target, 0, content);
  }

  /**
   * As {@link #write(Path, Content)}.
   *
   * @param needed how many bytes will be written, for messages; 0 if that is not known
   */
  public static void write(Path target, long needed, Content content) {
    try {
      Path file = Files.isSymbolicLink(target) ? target.toRealPath() : target.toAbsolutePath();
      if (Files.isDirectory(file)) {
        throw new LongAlignException(target + " is a directory; give the name of a file in it");
      }
      if (Files.exists(file) && !Files.isRegularFile(file)) {
        writeDirectly(file, content);
      } else {
        writeBeside(file, content);
      }
    } catch (IOException failure) {
      throw WriteFailure.of(target, needed, failure);
    }
  }

  private static void writeDirectly(Path device, Content content) throws IOException {
    try (OutputStream out =
        new BufferedOutputStream(Files.newOutputStream(device, StandardOpenOption.WRITE), BUFFER)) {
      content.writeTo(out);
    }
  }

  private static void writeBeside(Path file, Content content) throws IOException {
    Path beside = file.resolveSibling("." + file.getFileName() + "." + UUID.randomUUID() + ".tmp");
    boolean done = false;
    Files.createFile(beside);
    try {
      // Not a channel: that would be closed if this thread is interrupted, and who stops a training
      // wants it to save.
      try (FileOutputStream disk = new FileOutputStream(beside.toFile())) {
        OutputStream out = new BufferedOutputStream(disk, BUFFER);
        content.writeTo(out);
        out.flush();
        disk.getFD().sync();
      }
      rename(beside, file);
      done = true;
    } finally {
      if (!done) {
        Files.deleteIfExists(beside);
      }
    }
    forceDirectory(file.getParent());
  }

  /**
   * Removes what killed processes left half-written in a directory, where nobody else writes now.
   */
  public static void clean(Path directory) {
    try (Stream<Path> entries = Files.list(directory)) {
      for (Path file : entries.filter(f -> LEFT.matcher(f.getFileName().toString()).matches()).toList()) {
        Files.deleteIfExists(file);
      }
    } catch (IOException | UncheckedIOException stays) {
      throw new LongAlignException(directory + " cannot be cleaned: " + stays, stays);
    }
  }

  private static void rename(Path from, Path to) throws IOException {
    try {
      Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    } catch (AtomicMoveNotSupportedException notHere) {
      Files.move(from, to, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  /**
   * Makes what was renamed, created or removed in a directory durable, where the platform lets a
   * directory be opened.
   */
  public static void forceDirectory(Path directory) {
    try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (IOException unsupported) {
      // Windows cannot open directories; the file itself is already complete on disk.
    }
  }
}
