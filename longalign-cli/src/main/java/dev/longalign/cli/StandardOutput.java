package dev.longalign.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;

/** Stdout, whose failure is not forgotten: results that reach nobody are no success. */
final class StandardOutput extends OutputStream {
  /** As of a program that SIGPIPE ends: who reads the output has had enough. */
  static final int BROKEN_PIPE = 141;

  private final OutputStream stdout = new FileOutputStream(FileDescriptor.out);
  private final StatusLine status;
  private IOException failure;

  /**
   * @param status that makes room for what is written, or null
   */
  StandardOutput(StatusLine status) {
    this.status = status;
  }

  /** Thrown to end a command whose results cannot be written. */
  static final class Failed extends RuntimeException {
    private static final long serialVersionUID = 1;

    Failed() {
      super("standard output cannot be written", null, false, false);
    }
  }

  @Override
  public void write(int b) throws IOException {
    write(new byte[] {(byte) b}, 0, 1);
  }

  @Override
  public synchronized void write(byte[] bytes, int offset, int length) throws IOException {
    try {
      if (status == null) {
        stdout.write(bytes, offset, length);
      } else {
        status.write(stdout, bytes, offset, length);
      }
    } catch (IOException e) {
      failure = e;
      throw e;
    }
  }

  /** The exit code of the process, if that of its command is {@code code}; tells what failed. */
  synchronized int exitCode(int code, PrintWriter err) {
    if (failure == null) {
      return code;
    }
    String reason = String.valueOf(failure.getMessage());
    if (reason.contains("Broken pipe")) {
      return BROKEN_PIPE;
    }
    err.println("longalign: standard output cannot be written: " + reason);
    err.flush();
    return code == ExitCode.OK ? ExitCode.FAILED : code;
  }
}
