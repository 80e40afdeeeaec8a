package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.text.CaptionCleaner;
import java.util.function.Supplier;

/**
 * What becomes of captions that are too short or too long to train on; all are cleaned as the
 * reference does ({@link CaptionCleaner#TRAINING}).
 *
 * <p>An empty caption teaches nothing about text and mostly means a gap in the data, so by default
 * its example is skipped and reported. A caption of more than {@code maxWords} words is cut after
 * that many. By default that is 2000: every word is at least one token and no encoder of the method
 * reads more than 240, so the cut changes no feature and only saves the encoders from a thousand
 * segments that nobody would see. Objectives that read every segment (Denscore) see those of the
 * first 2000 words.
 *
 * @param keepEmpty use examples without caption (as {@code ''}, the unconditional prompt)
 * @param maxWords at least 1; words are what lies between white space
 */
public record CaptionPolicy(boolean keepEmpty, int maxWords) {
  /** Skips empty captions, cuts after 2000 words. */
  public static final CaptionPolicy DEFAULT = new CaptionPolicy(false, 2000);

  public CaptionPolicy {
    if (maxWords < 1) {
      throw new IllegalArgumentException("maxWords must be at least 1, found " + maxWords);
    }
  }

  /**
   * An example with its caption cleaned and cut.
   *
   * @param caption as found; null counts as empty
   * @param picture asked only if the caption will do: decoding is the expensive part
   * @throws LongAlignException naming {@code id} if the caption is empty and may not be
   */
  TrainingExample example(String id, String caption, Supplier<RgbPicture> picture) {
    String cleaned = CaptionCleaner.TRAINING.apply(caption == null ? "" : caption);
    if (cleaned.isEmpty() && !keepEmpty) {
      throw new LongAlignException(id + ": the caption is empty");
    }
    int words = 0;
    int end = cleaned.length();
    boolean inWord = false;
    for (int i = 0; i < cleaned.length(); i++) {
      boolean letter = !Character.isWhitespace(cleaned.charAt(i));
      if (inWord && !letter && words == maxWords) {
        end = Math.min(end, i);
      }
      words += letter && !inWord ? 1 : 0;
      inWord = letter;
    }
    return new TrainingExample(
        id, cleaned.substring(0, end), Math.max(0, words - maxWords), picture.get());
  }
}
