package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** One writer at a time, within a process and between processes, killed ones included. */
class LockFileTest {
  @TempDir Path directory;

  /** Another process: takes the lock of its argument, says so, and waits to be killed. */
  static final class Holder {
    public static void main(String[] args) throws IOException {
      Path what = Path.of(args[0]);
      if (args.length > 1) {
        AtomicDirectories.write(what, 0, beside -> sayAndWait());
      }
      LockFile.acquire(what.resolve(LockFile.NAME), what);
      sayAndWait();
    }

    private static void sayAndWait() throws IOException {
      System.out.println("holds");
      System.out.flush();
      if (System.in.read() < 0) {
        System.exit(1);
      }
    }
  }

  private static Process holder(String... args) throws IOException {
    String classPath =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    ProcessBuilder builder =
        new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:TieredStopAtLevel=1",
            "-cp",
            classPath,
            Holder.class.getName());
    builder.command().addAll(java.util.List.of(args));
    Process process = builder.redirectError(ProcessBuilder.Redirect.DISCARD).start();
    BufferedReader said = process.inputReader(StandardCharsets.UTF_8);
    assertThat(said.readLine()).isEqualTo("holds");
    return process;
  }

  private static void kill(Process process) throws InterruptedException {
    process.toHandle().destroyForcibly();
    process.waitFor();
  }

  private LockFile acquire() {
    return LockFile.acquire(directory.resolve(LockFile.NAME), directory);
  }

  @Test
  void asecondOneInThisProcessIsRefusedByWhicheverName() throws IOException {
    Path link = Files.createSymbolicLink(directory.resolveSibling("link"), directory);
    try (LockFile lock = acquire()) {
      assertThat(lock.exclusive()).isTrue();
      for (Path name : new Path[] {directory, link}) {
        assertThatThrownBy(() -> LockFile.acquire(name.resolve(LockFile.NAME), name))
            .isInstanceOf(LongAlignException.class)
            .hasMessageStartingWith(name + " is being written by this process ")
            .hasMessageContaining(Long.toString(ProcessHandle.current().pid()));
      }
    } finally {
      Files.delete(link);
    }
    assertThat(IoFixtures.list(directory)).as("the file goes with the lock").isEmpty();
    acquire().close();
  }

  @Test
  void anotherProcessIsNamedAndAKilledOneLocksNothing() throws Exception {
    Process process = holder(directory.toString());
    try {
      for (int i = 0; i < 2; i++) { // a refusal must not free the lock
        assertThatThrownBy(this::acquire)
            .isInstanceOf(LongAlignException.class)
            .hasMessageContaining("is being written by process " + process.pid() + " on ")
            .hasMessageContaining(" since 20");
      }
    } finally {
      kill(process);
    }
    assertThat(IoFixtures.list(directory)).containsExactly(LockFile.NAME);
    acquire().close();
    assertThat(IoFixtures.list(directory)).isEmpty();
  }

  @Test
  void anInterruptedThreadLocksAndFrees() {
    Thread.currentThread().interrupt();
    try (LockFile lock = acquire()) {
      assertThat(lock.exclusive()).isTrue();
    } finally {
      assertThat(Thread.interrupted()).isTrue();
    }
    assertThat(IoFixtures.list(directory)).isEmpty();
  }

  @Test
  void aDirectoryThatAnotherProcessIsWritingIsLeftToIt() throws Exception {
    Path target = directory.resolve("o");
    Process process = holder(target.toString(), "writes");
    try {
      assertThat(IoFixtures.list(directory)).hasSize(2).contains(".o.lock");
      assertThatThrownBy(() -> AtomicDirectories.write(target, 0, beside -> {}))
          .isInstanceOf(LongAlignException.class)
          .hasMessageStartingWith(target + " is being written by process " + process.pid());
      assertThat(IoFixtures.list(directory)).as("its parts").hasSize(2);
    } finally {
      kill(process);
    }
    AtomicDirectories.write(target, 0, beside -> Files.writeString(beside.resolve("a"), "new"));
    assertThat(IoFixtures.list(directory)).containsExactly("o");
    assertThat(target.resolve("a")).hasContent("new");
  }

  /** Killed between the two renames: the old directory is there under another name only. */
  @Test
  void whatWasMovedAwayComesBack() throws IOException {
    Path target = directory.resolve("o");
    Path old = Files.createDirectory(directory.resolve(".o." + UUID.randomUUID() + ".old"));
    Files.writeString(old.resolve("a"), "old");
    Files.createDirectory(directory.resolve(".o." + UUID.randomUUID()));
    assertThatThrownBy(
            () ->
                AtomicDirectories.write(
                    target,
                    0,
                    beside -> {
                      throw new IOException("No space left on device");
                    }))
        .hasMessageContaining("the disk is full");
    assertThat(IoFixtures.list(directory)).containsExactly("o");
    assertThat(target.resolve("a")).hasContent("old");

    Path second = Files.createDirectory(directory.resolve(".o." + UUID.randomUUID() + ".old"));
    AtomicDirectories.clean(directory, "o.");
    assertThat(second).as("the new one has taken its place").doesNotExist();
    assertThat(target.resolve("a")).hasContent("old");
  }
}
