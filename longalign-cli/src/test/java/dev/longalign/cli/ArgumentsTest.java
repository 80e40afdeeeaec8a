package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** What Java has lost of the command line where no locale is set. */
final class ArgumentsTest {
  private static final String ASCII = "ANSI_X3.4-1968";
  private static final String PROMPT = "Ein grünes Dreieck. 東京. İ 🟢";

  @Test
  void theirBytesAreStillThere() {
    String[] found = restored(StandardCharsets.UTF_8, "sample", PROMPT, "--out", "o.png");
    assertThat(found).containsExactly("sample", PROMPT, "--out", "o.png");
  }

  @Test
  void whatIsNoUtf8IsRefused() {
    assertThatThrownBy(() -> restored(StandardCharsets.ISO_8859_1, "sample", "grün"))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContainingAll("argument 2", ASCII, "LC_ALL=C.UTF-8");
  }

  /** Those of another process, or in another order, are not taken for ours. */
  @Test
  void onlyTheSameArgumentsAreRestored() {
    String[] lost = {lossy("grün".getBytes(StandardCharsets.UTF_8))};
    for (String raw : new String[] {"", "java\0", "java\0other\0", "java\0grau\0", "gr\0"}) {
      byte[] commandLine = raw.getBytes(StandardCharsets.UTF_8);
      assertThatThrownBy(() -> Arguments.restored(lost, commandLine, ASCII))
          .isInstanceOf(LongAlignException.class);
    }
    String[] whole = {"sample", "plain"};
    assertThat(Arguments.restored(whole, new byte[0], ASCII)).containsExactly(whole);
  }

  private static String[] restored(Charset charset, String... written) {
    String[] args = new String[written.length];
    for (int i = 0; i < args.length; i++) {
      args[i] = lossy(written[i].getBytes(charset));
    }
    String line = "java\0-cp\0a:b\0dev.longalign.cli.Main\0" + String.join("\0", written) + "\0";
    return Arguments.restored(args, line.getBytes(charset), ASCII);
  }

  /** As Java reads it: ASCII, and a replacement character for every other byte. */
  private static String lossy(byte[] bytes) {
    return new String(bytes, StandardCharsets.US_ASCII);
  }
}
