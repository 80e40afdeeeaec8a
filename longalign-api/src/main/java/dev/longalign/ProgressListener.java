package dev.longalign;

/**
 * Told about one call as it runs, on the thread that runs it. Every {@link #onStart} is followed by
 * exactly one {@link #onEnd} or {@link #onFailure}. Methods should be fast; what they throw is
 * logged and otherwise ignored. To end a call early, {@link SampleCall#cancel} it.
 */
public interface ProgressListener {
  /** Hears nothing. */
  ProgressListener NONE = new ProgressListener() {};

  /** Work begins: encoding comes first. */
  default void onStart(SampleRequest request) {}

  default void onStep(SampleStep step) {}

  /**
   * A picture goes through the autoencoder in tiles, which differs a little from the whole; told
   * once a call.
   *
   * @param message the size and why, for people
   */
  default void onTiles(String message) {}

  default void onEnd(SampleResult result) {}

  /**
   * @param failure a {@link java.util.concurrent.CancellationException} if the call was cancelled
   */
  default void onFailure(Throwable failure) {}
}
