package dev.longalign.io;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_16;
import static java.nio.charset.StandardCharsets.UTF_16LE;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.Charset;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TextFileTest {
  @TempDir Path directory;

  @Test
  void marksGoAndLineEndsAreOne() {
    assertThat(decode("\uFEFFa\r\nb\rc\n\r\n猫 🐈", UTF_8)).isEqualTo("a\nb\nc\n\n猫 🐈");
    assertThat(decode("", UTF_8)).isEmpty();
    assertThat(decode("\uFEFF", UTF_8)).isEmpty();
    assertThat(decode("a\uFEFFb", UTF_8)).as("a mark elsewhere is text").isEqualTo("a\uFEFFb");
    Path file = IoFixtures.write(directory.resolve("a.txt"), "\uFEFFone\r\n\r\ntwo\r\n");
    assertThat(TextFile.lines(file)).containsExactly("one", "", "two");
  }

  @Test
  void otherEncodingsAreNamedWithTheLine() {
    refuses("ü", UTF_16, "a.txt is UTF-16; save it as UTF-8");
    refuses("\uFEFFü", UTF_16LE, "a.txt is UTF-16");
    refuses("abc", UTF_16LE, "a.txt: line 1 has a NUL character (no text, or UTF-16 without");
    refuses("a\r\nb\rc\né\n", ISO_8859_1, "a.txt: line 4 is not valid UTF-8; save it as UTF-8");
    refuses("é", ISO_8859_1, "a.txt: line 1 is not valid UTF-8");
    refuses("ok\n\0", UTF_8, "a.txt: line 2 has a NUL character");
  }

  @Test
  void whatIsNoFileOrTooLongIsRefused() {
    assertThatThrownBy(() -> TextFile.read(directory))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessage(directory + ": expected a text file, found a directory");
    assertThatThrownBy(() -> TextFile.read(directory.resolve("b.txt")))
        .hasMessageEndingWith("b.txt: expected a text file, found no such file");
    InputStream endless =
        new InputStream() {
          @Override
          public int read() {
            return 'a';
          }

          @Override
          public int read(byte[] bytes, int from, int length) {
            return length;
          }
        };
    assertThatThrownBy(() -> TextFile.read(endless, "standard input"))
        .hasMessageStartingWith("standard input: expected a text of at most 67108864 bytes");
    assertThat(TextFile.read(new ByteArrayInputStream("é\r\n".getBytes(UTF_8)), "x"))
        .isEqualTo("é\n");
  }

  private static String decode(String text, Charset charset) {
    return TextFile.decode(ByteBuffer.wrap(text.getBytes(charset)), "a.txt");
  }

  private static void refuses(String text, Charset charset, String message) {
    assertThatThrownBy(() -> decode(text, charset))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageStartingWith(message);
  }
}
