package dev.longalign.cli;

import java.io.File;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.function.IntFunction;

/**
 * A terminal's last line, which is written over and over. Being the stream of stderr itself, it
 * makes room for every other line, whoever writes it, and comes back below.
 */
final class StatusLine extends OutputStream {
  private static final Path STDERR = Path.of("/proc/self/fd/2");
  private static final int DEFAULT_COLUMNS = 80;

  private final OutputStream terminal;
  private IntFunction<String> wanted = columns -> "";
  private String shown = "";
  private boolean lineBegun;
  private volatile int columns;

  /**
   * @param columns of the terminal
   */
  StatusLine(OutputStream terminal, int columns) {
    this.terminal = terminal;
    this.columns = columns;
  }

  /** That of stderr; null if it is no terminal. */
  static StatusLine ofStderr() {
    if (!stderrIsTerminal()) {
      return null;
    }
    StatusLine line = new StatusLine(new FileOutputStream(FileDescriptor.err), terminalColumns());
    Signals.handle("WINCH", () -> line.resize(terminalColumns()));
    return line;
  }

  /** System.console() answers for stdin and stdout, and always on JDK 22 and later. */
  private static boolean stderrIsTerminal() {
    try {
      String target = Files.readSymbolicLink(STDERR).toString();
      return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty");
    } catch (IOException | UnsupportedOperationException e) {
      return System.console() != null;
    }
  }

  private static int terminalColumns() {
    try {
      Process stty =
          new ProcessBuilder("stty", "size")
              .redirectInput(new File(STDERR.toString()))
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      String[] size =
          new String(stty.getInputStream().readAllBytes(), StandardCharsets.US_ASCII)
              .strip()
              .split(" ");
      if (stty.waitFor(1, TimeUnit.SECONDS) && size.length == 2 && !size[1].equals("0")) {
        return Integer.parseInt(size[1]);
      }
    } catch (IOException | NumberFormatException e) {
      // No stty here.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return DEFAULT_COLUMNS;
  }

  synchronized void resize(int columns) {
    this.columns = columns;
    show(wanted);
  }

  /** Shows a text, as much of it as fits, until the next one; empty for none. */
  void show(String text) {
    show(columns -> text);
  }

  /**
   * The same.
   *
   * @param text for so many columns
   */
  synchronized void show(IntFunction<String> text) {
    wanted = text;
    if (!lineBegun) {
      int room = Math.max(1, columns - 1); // in the last column some terminals begin a new line
      String fitting = text.apply(room);
      draw(fitting.substring(0, Math.min(fitting.length(), room)));
    }
  }

  /** What is shown stays where it is; what comes begins a new line. */
  synchronized void keep() {
    if (!shown.isEmpty()) {
      send("\n");
      shown = "";
    }
    wanted = columns -> "";
  }

  private void draw(String text) {
    if (text.isEmpty() && shown.isEmpty()) {
      return;
    }
    // Blanks and not an escape sequence: this works on every terminal.
    int rest = Math.min(shown.length(), columns - 1) - text.length();
    String blanks = rest > 0 ? " ".repeat(rest) + "\b".repeat(text.isEmpty() ? 0 : rest) : "";
    send("\r" + text + blanks + (text.isEmpty() ? "\r" : ""));
    shown = text;
  }

  private void send(String text) {
    try {
      terminal.write(text.getBytes(StandardCharsets.UTF_8));
      terminal.flush();
    } catch (IOException e) {
      // The terminal has gone: nobody is there to be told.
    }
  }

  @Override
  public void write(int b) throws IOException {
    write(new byte[] {(byte) b}, 0, 1);
  }

  @Override
  public void write(byte[] bytes, int offset, int length) throws IOException {
    write(terminal, bytes, offset, length);
  }

  /** Writes to a stream that may be the same terminal. */
  synchronized void write(OutputStream to, byte[] bytes, int offset, int length)
      throws IOException {
    if (length == 0) {
      return;
    }
    draw("");
    to.write(bytes, offset, length);
    to.flush();
    lineBegun = bytes[offset + length - 1] != '\n';
    show(wanted);
  }
}
