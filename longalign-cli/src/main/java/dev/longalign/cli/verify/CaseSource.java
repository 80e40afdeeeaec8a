package dev.longalign.cli.verify;

import java.util.List;

/** The cases of one file of a golden directory, and what they share; closed when they are done. */
interface CaseSource extends AutoCloseable {
  /** In the order of the file. Computes nothing yet. */
  List<VerifyCase> cases() throws Exception;

  @Override
  default void close() {}
}
