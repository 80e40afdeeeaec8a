package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a terminal shows, by a terminal that knows carriage returns, backspaces and its width. */
final class TerminalTest {
  private static final String NOTE = "loss 0.0223, |g| 0.008, 2.3 pictures/s, 0.1 GiB";

  private final Screen screen = new Screen();

  /** Lines of which the last is being written. */
  private static final class Screen extends OutputStream {
    private final List<StringBuilder> lines = new ArrayList<>(List.of(new StringBuilder()));
    private int at;

    @Override
    public void write(int b) {
      StringBuilder line = lines.get(lines.size() - 1);
      switch (b) {
        case '\r' -> at = 0;
        case '\b' -> at--;
        case '\n' -> {
          lines.add(new StringBuilder());
          at = 0;
        }
        default -> {
          line.setLength(Math.max(line.length(), at + 1));
          line.setCharAt(at++, (char) b);
        }
      }
    }

    int widest() {
      return lines.stream().mapToInt(StringBuilder::length).max().orElseThrow();
    }

    List<String> shown() {
      return lines.stream().map(line -> line.toString().stripTrailing()).toList();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {25, 40, 60, 80, 100, 200})
  void barsFit(int columns) {
    StatusLine status = new StatusLine(screen, columns);
    try (Progress progress = Progress.start("align", 500, new PrintWriter(screen), status)) {
      progress.stepTo(250, NOTE);
    }
    assertThat(screen.widest()).isBetween(columns / 2, columns - 1);
    String bar = screen.shown().get(0);
    assertThat(bar).startsWith("align 250/500");
    assertThat(bar.contains("[==")).isEqualTo(columns >= 100);
    assertThat(bar.contains("loss 0.0223")).isEqualTo(columns >= 40);
    assertThat(bar.contains(NOTE)).isEqualTo(columns >= 80);
    assertThat(screen.shown()).as("the last state stays").hasSize(2);
  }

  @Test
  void otherLinesHaveRoomAboveTheBar() throws IOException {
    StatusLine status = new StatusLine(screen, 80);
    status.show("loading UNet ...");
    assertThat(screen.shown()).containsExactly("loading UNet ...");
    status.write("a warning\n".getBytes(StandardCharsets.UTF_8));
    assertThat(screen.shown()).containsExactly("a warning", "loading UNet ...");
    ByteArrayOutputStream pipe = new ByteArrayOutputStream();
    status.write(pipe, "a result\n".getBytes(StandardCharsets.UTF_8), 0, 9);
    assertThat(pipe.toString(StandardCharsets.UTF_8)).isEqualTo("a result\n");
    status.write("half a line".getBytes(StandardCharsets.UTF_8));
    status.show("loading VAE ...");
    assertThat(screen.shown()).containsExactly("a warning", "half a line");
    status.write(", and its end\n".getBytes(StandardCharsets.UTF_8));
    assertThat(screen.shown())
        .containsExactly("a warning", "half a line, and its end", "loading VAE ...");
    status.show("=".repeat(90));
    assertThat(screen.shown().get(2)).hasSize(79);
    status.resize(120);
    assertThat(screen.shown().get(2)).hasSize(90);
    status.show("");
    assertThat(screen.shown()).containsExactly("a warning", "half a line, and its end", "");
  }

  /** Logs get a line for the last step, whenever the one before was written. */
  @Test
  void pipesGetPlainLines() throws InterruptedException {
    StringWriter log = new StringWriter();
    try (Progress progress = Progress.start("align", 3, new PrintWriter(log), null)) {
      progress.stepTo(1);
      Thread.sleep(2050);
      progress.stepTo(2);
      progress.stepTo(3, NOTE);
    }
    assertThat(log.toString().lines().map(line -> line.replaceAll("\\d+ s", "N s")))
        .containsExactly("align 2/3 (N s, N s left)", "align 3/3 (N s): " + NOTE);
  }
}
