package dev.longalign.preference;

import java.util.List;

/**
 * A caption as a preference model sees it.
 *
 * @param caption as given
 * @param segments what was encoded: its segments, or the caption itself
 * @param features of each, of length 1: [segments, width]
 * @param cutTokens tokens beyond the window, which the model does not read
 */
public record CaptionFeatures(
    String caption, List<String> segments, Features features, int cutTokens) {
  public CaptionFeatures {
    segments = List.copyOf(segments);
  }

  /** T: the plain mean of the segments' features, not normalised again. */
  public float[] text() {
    return features.mean();
  }
}
