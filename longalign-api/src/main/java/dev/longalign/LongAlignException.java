package dev.longalign;

/**
 * Anything this library refuses or fails at. The message names the thing, what was expected, what
 * was found and what to do about it; it is meant to be shown to a user as it stands.
 */
public class LongAlignException extends RuntimeException {
  public LongAlignException(String message) {
    super(message);
  }

  public LongAlignException(String message, Throwable cause) {
    super(message, cause);
  }
}
