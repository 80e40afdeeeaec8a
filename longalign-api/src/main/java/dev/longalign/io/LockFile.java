package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Objects;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps what is being written to one writer: a small hidden file that the operating system locks
 * for this process and frees when the process ends, however it ends. So nothing is stale after a
 * kill, and nothing has to be removed by hand. The file names its holder, and goes when it is
 * closed.
 *
 * <pre>{@code
 * try (LockFile lock = LockFile.acquire(run.resolve(LockFile.NAME), run)) {
 *   ...                                   // nobody else writes into run
 * }
 * }</pre>
 *
 * <p>A file system without locks is written to without one; the log says so.
 */
public final class LockFile implements AutoCloseable {
  /** Of the lock on a directory, inside of it. */
  public static final String NAME = ".lock";

  private static final Logger LOG = LoggerFactory.getLogger(LockFile.class);

  /** Behind what is written, so that systems whose locks forbid reading let others read that. */
  private static final long POSITION = 1L << 30;

  private static final int LONGEST = 200;

  // System properties, since POSIX locks belong to the whole process: closing the file once, by
  // whichever class loader's copy of this class, would free the lock of all.
  private static final String HELD = "dev.longalign.lock:";

  private final Path file;
  private final RandomAccessFile open;
  private final boolean exclusive;

  private LockFile(Path file, RandomAccessFile open, boolean exclusive) {
    this.file = file;
    this.open = open;
    this.exclusive = exclusive;
  }

  /**
   * Takes the lock, without waiting.
   *
   * @param file is made; its directory must be there
   * @param what is locked, for the message
   * @throws LongAlignException if another process, or something else in this one, has it: with
   *     process, host and since when; or if the file cannot be written
   */
  public static LockFile acquire(Path file, Path what) {
    try {
      Path place = file.toAbsolutePath().getParent().toRealPath().resolve(file.getFileName());
      Instant now = Instant.now().truncatedTo(ChronoUnit.SECONDS);
      String me = "process " + ProcessHandle.current().pid() + " on " + host() + " since " + now;
      Object here = System.getProperties().putIfAbsent(HELD + place, me);
      if (here != null) {
        throw inUse(what, "this " + here);
      }
      try {
        return locked(place, what, me);
      } catch (IOException | RuntimeException e) {
        System.getProperties().remove(HELD + place);
        throw e;
      }
    } catch (IOException failure) {
      throw WriteFailure.of(file, 0, failure);
    }
  }

  private static LockFile locked(Path file, Path what, String me) throws IOException {
    while (true) {
      if (!Files.exists(file)) {
        new RandomAccessFile(file.toFile(), "rw").close();
      }
      Object before = identity(file);
      RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw");
      try {
        boolean exclusive = lock(open, what);
        if (Objects.equals(before, identity(file))) {
          tell(open, me);
          LockFile mine = new LockFile(file, open, exclusive);
          open = null;
          return mine;
        } // else its last holder has removed what has been opened here
      } finally {
        if (open != null) {
          open.close();
        }
      }
    }
  }

  /** False where there are no locks. */
  private static boolean lock(RandomAccessFile open, Path what) throws IOException {
    try {
      if (open.getChannel().tryLock(POSITION, 1, false) != null) {
        return true;
      }
    } catch (OverlappingFileLockException anotherName) {
      throw inUse(what, "this process, by another name");
    } catch (IOException unsupported) {
      LOG.warn(
          "{}: this file system has no locks ({}); see to it that no other process writes there",
          what,
          unsupported.getMessage());
      return false;
    }
    byte[] text = new byte[LONGEST];
    int length = Math.max(0, open.read(text));
    String holder = Names.printable(new String(text, 0, length, StandardCharsets.UTF_8)).strip();
    throw inUse(what, holder.isEmpty() ? "another process" : holder);
  }

  private static LongAlignException inUse(Path what, String holder) {
    return new LongAlignException(
        what
            + " is being written by "
            + holder
            + "; wait until that has ended, stop it, or choose another directory");
  }

  private static void tell(RandomAccessFile open, String me) {
    try {
      open.setLength(0);
      open.write(me.getBytes(StandardCharsets.UTF_8));
    } catch (IOException full) {
      LOG.debug("the lock does not say who holds it", full); // it holds all the same
    }
  }

  /** Null if there is no file; also where the system has nothing of the kind. */
  private static Object identity(Path file) {
    try {
      return Files.readAttributes(file, BasicFileAttributes.class).fileKey();
    } catch (IOException absent) {
      return null;
    }
  }

  /** Without asking the network, as InetAddress would. */
  private static String host() {
    try {
      return Names.printable(Files.readString(Path.of("/proc/sys/kernel/hostname")).strip());
    } catch (IOException notLinux) {
      return Optional.ofNullable(System.getenv("COMPUTERNAME")).orElse("this machine");
    }
  }

  /** Whether it keeps others out: false on a file system without locks. */
  public boolean exclusive() {
    return exclusive;
  }

  /** Frees it. */
  @Override
  public void close() {
    if (!open.getChannel().isOpen()) {
      return;
    }
    try {
      Files.deleteIfExists(file); // first: afterwards it may be another's
    } catch (IOException stays) {
      LOG.debug("{} stays, and locks nothing", file, stays);
    }
    try {
      open.close();
    } catch (IOException failure) {
      throw new LongAlignException(file + " cannot be closed: " + failure, failure);
    } finally {
      System.getProperties().remove(HELD + file);
    }
  }
}
