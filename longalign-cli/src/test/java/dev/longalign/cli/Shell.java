package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** What a POSIX shell makes of a command that is pasted into it. */
final class Shell {
  private Shell() {}

  /** The arguments of {@code longalign}. */
  static List<String> words(String command) throws IOException, InterruptedException {
    Process shell =
        new ProcessBuilder("sh", "-c", "longalign() { printf '%s\\0' \"$@\"; }\n" + command)
            .redirectErrorStream(true)
            .start();
    String out = new String(shell.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(shell.waitFor()).as(out).isZero();
    return List.of(out.split("\0"));
  }
}
