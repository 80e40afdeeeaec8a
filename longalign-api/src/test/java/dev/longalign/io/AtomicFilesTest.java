package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AtomicFilesTest {
  @TempDir Path directory;

  @Test
  void writesAndReplaces() {
    Path path = directory.resolve("a.bin");
    AtomicFiles.write(path, out -> out.write(new byte[100_000]));
    assertThat(path).hasSize(100_000);
    AtomicFiles.write(path, out -> out.write('x'));
    assertThat(IoFixtures.read(path)).containsExactly('x');
    assertThat(IoFixtures.list(directory)).containsExactly("a.bin");
  }

  @Test
  void aFailureInTheMiddleLeavesTheOldFileAndNothingElse() {
    Path path = IoFixtures.write(directory.resolve("a.bin"), "old");
    assertThatThrownBy(
            () ->
                AtomicFiles.write(
                    path,
                    out -> {
                      out.write(new byte[1 << 20]);
                      throw new IOException("No space left on device");
                    }))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining("a.bin cannot be written: the disk is full")
        .hasMessageContaining("free some space");
    assertThatThrownBy(
            () ->
                AtomicFiles.write(
                    path,
                    out -> {
                      out.write(1);
                      throw new IllegalStateException("of the caller");
                    }))
        .isExactlyInstanceOf(IllegalStateException.class);
    assertThat(path).hasContent("old");
    assertThat(IoFixtures.list(directory)).containsExactly("a.bin");
  }

  @Test
  void aTensorThatFailsMidwayLeavesNothing() {
    StoredTensor good = StoredTensor.ofFloats("a", DType.F32, Shape.of(1000), new float[1000]);
    StoredTensor failing =
        StoredTensor.lazy(
            "b",
            DType.F32,
            Shape.of(1),
            "device",
            () -> {
              throw new LongAlignException("device lost");
            });
    assertThatThrownBy(
            () ->
                SafetensorsWriter.write(directory.resolve("x.safetensors"), List.of(good, failing)))
        .hasMessage("device lost");
    assertThatThrownBy(
            () -> TorchWriter.writeList(directory.resolve("x.pt"), List.of(good, failing)))
        .hasMessage("device lost");
    assertThat(IoFixtures.list(directory)).isEmpty();
  }

  @Test
  void saysWhyAPlaceCannotBeWritten() {
    Path file = IoFixtures.write(directory.resolve("file"), "");
    assertThatThrownBy(
            () -> AtomicFiles.write(directory.resolve("no/such/a.bin"), out -> out.write(1)))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining("does not exist; create it first");
    assertThatThrownBy(() -> AtomicFiles.write(file.resolve("a.bin"), out -> out.write(1)))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining("is not a directory");
    assertThatThrownBy(() -> AtomicFiles.write(directory, out -> out.write(1)))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining("is a directory");
    assertThat(IoFixtures.list(directory)).containsExactly("file");
  }

  @Test
  void aReadOnlyDirectoryIsNamed() throws IOException {
    assumeTrue(
        Files.getFileStore(directory).supportsFileAttributeView("posix"), "POSIX permissions");
    Path locked = Files.createDirectory(directory.resolve("locked"));
    assumeTrue(
        locked.toFile().setWritable(false) && !Files.isWritable(locked),
        "a user whom permissions bind");
    assertThatThrownBy(() -> AtomicFiles.write(locked.resolve("a.bin"), out -> out.write(1)))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining("no permission to write into");
  }

  @Test
  void whatTheSystemRefusesIsExplained() {
    Path path = directory.resolve("a.bin");
    assertThatThrownBy(
            () ->
                AtomicFiles.write(
                    path,
                    out -> {
                      throw new FileSystemException(path.toString(), null, "Read-only file system");
                    }))
        .hasMessageContaining("no permission to write into " + directory);
    assertThatThrownBy(
            () ->
                AtomicFiles.write(
                    path,
                    out -> {
                      throw new AccessDeniedException(path.toString());
                    }))
        .hasMessageContaining("no permission to write into " + directory);
    assertThatThrownBy(
            () ->
                AtomicFiles.write(
                    path,
                    out -> {
                      throw new IOException("Input/output error");
                    }))
        .hasMessageContaining("a.bin cannot be written: Input/output error");
    assertThat(IoFixtures.list(directory)).isEmpty();
  }

  @Test
  void anInterruptedThreadCanStillSave() throws IOException {
    Thread.currentThread().interrupt();
    try {
      AtomicDirectories.write(
          directory.resolve("d"),
          0,
          beside -> AtomicFiles.write(beside.resolve("a.bin"), out -> out.write(new byte[99_999])));
      assertThat(Thread.currentThread().isInterrupted()).isTrue();
    } finally {
      Thread.interrupted();
    }
    assertThat(directory.resolve("d/a.bin")).hasSize(99_999);
  }

  @Test
  void linksAreFollowedAndKept() throws IOException {
    Path real = IoFixtures.write(directory.resolve("real"), "old");
    Path link = Files.createSymbolicLink(directory.resolve("link"), real);
    AtomicFiles.write(link, out -> out.write('n'));
    assertThat(link).isSymbolicLink();
    assertThat(real).hasContent("n");
  }

  @Test
  void devicesAreWrittenDirectly() {
    Path full = Path.of("/dev/full");
    assumeTrue(Files.exists(full), "/dev/full");
    assertThatThrownBy(() -> AtomicFiles.write(full, out -> out.write(new byte[1 << 20])))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining("the disk is full");
    AtomicFiles.write(Path.of("/dev/null"), out -> out.write(1));
    assertThat(Files.isRegularFile(Path.of("/dev/null"))).isFalse();
  }
}
