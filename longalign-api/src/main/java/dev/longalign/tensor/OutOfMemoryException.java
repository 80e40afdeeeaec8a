package dev.longalign.tensor;

import dev.longalign.LongAlignException;

/** A device has less memory than an operation needs; what was there before is untouched. */
public final class OutOfMemoryException extends LongAlignException {
  private static final long serialVersionUID = 1L;

  public OutOfMemoryException(String message) {
    super(message);
  }
}
