package dev.longalign.text;

import java.util.Objects;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;

/**
 * What the reference does to a caption before anything else (its {@code load_dataset}): blank lines
 * are removed and the ends are trimmed. Line ends are {@code \n}; white space is Python's.
 */
public enum CaptionCleaner implements UnaryOperator<String> {
  /** For training captions: a blank line vanishes, so that the lines around it are joined. */
  TRAINING(""),

  /** For validation prompts: a blank line becomes one blank. */
  VALIDATION(" ");

  private static final String SPACE =
      "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
  private static final Pattern ENDS =
      Pattern.compile("\\A" + SPACE + "++|(?<!" + SPACE + ")" + SPACE + "++\\z");

  private final String blankLine;

  CaptionCleaner(String blankLine) {
    this.blankLine = blankLine;
  }

  /** The cleaned caption, possibly empty. */
  @Override
  public String apply(String caption) {
    Objects.requireNonNull(caption, "caption");
    return ENDS.matcher(caption.replace("\n\n", blankLine)).replaceAll("");
  }
}
