package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.EOFException;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.charset.MalformedInputException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ReasonsTest {
  @TempDir Path directory;

  static Stream<Throwable> failures() {
    return Stream.of(
        new NoSuchFileException("f"),
        new AccessDeniedException("f"),
        new FileAlreadyExistsException("f"),
        new NotDirectoryException("f"),
        new FileSystemException("f"),
        new MalformedInputException(1),
        new EOFException(),
        new ClosedByInterruptException(),
        new IOException(),
        new IllegalStateException(),
        new UncheckedIOException(new IOException(new NoSuchFileException("f"))));
  }

  @ParameterizedTest
  @MethodSource("failures")
  void noNamesOfClassesAndNoNull(Throwable failure) {
    assertThat(Reasons.of(failure)).isNotBlank().doesNotContain("Exception", "null", "java.");
  }

  @Test
  void whatTheSystemSaysStays() throws IOException {
    assertThat(Reasons.of(new FileSystemException("f", null, "Too many open files")))
        .isEqualTo("Too many open files");
    assertThat(Reasons.of(new IOException("Input/output error"))).isEqualTo("Input/output error");
    assertThat(Reasons.of(new IOException("a\u001bb"))).isEqualTo("a?b");
    try (FileInputStream in = new FileInputStream(directory.resolve("none").toFile())) {
      assertThat(in).isNull();
    } catch (FileNotFoundException absent) {
      assertThat(Reasons.of(absent)).isEqualTo("No such file or directory");
    }
  }
}
