package dev.longalign.text;

import java.util.List;
import java.util.function.ToIntFunction;

/**
 * Cuts a caption into the segments that are encoded one by one (LongAlign, section 3.1).
 * Implementations are thread-safe and never return an empty list.
 */
@FunctionalInterface
public interface SegmentSplitter {

  /** The caption's segments in order; at least one. */
  List<String> split(String caption);

  /**
   * The reference's rule, which published checkpoints were trained with: a cut at every {@code .},
   * {@code ?}, {@code "!} and {@code ;"} (a lone {@code !} or {@code ;} does not cut), the mark
   * replaced by {@code .}, blanks kept.
   */
  static SegmentSplitter reference() {
    return ReferenceSplitter.INSTANCE;
  }

  /**
   * Sentences, with decimals, abbreviations, addresses and quotes left whole. A sentence that does
   * not fit is cut again after a clause, else between words, else inside a giant word. Joined
   * together, the segments are the caption again, character by character.
   *
   * <pre>{@code
   * SegmentSplitter.sentences(text -> clip.encode(text).length, clip.modelMaxLength())
   * }</pre>
   *
   * @param tokenCount tokens of a text, special tokens included
   * @param window the most tokens that a segment may have (CLIP: 77)
   */
  static SegmentSplitter sentences(ToIntFunction<String> tokenCount, int window) {
    return new SentenceSplitter(new WindowSplitter(tokenCount, window));
  }
}
