package dev.longalign.cli;

/** What a command's exit code says; documented in {@code longalign --help}. */
final class ExitCode {
  static final int OK = 0;
  static final int FAILED = 1;
  static final int USAGE = 2;
  static final int CANCELLED = 130;

  private ExitCode() {}
}
