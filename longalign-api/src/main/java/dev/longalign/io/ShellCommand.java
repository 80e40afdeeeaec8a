package dev.longalign.io;

import java.util.ArrayList;
import java.util.List;

/**
 * A command line as text that a POSIX shell reads as it was meant.
 *
 * <pre>{@code
 * new ShellCommand("longalign", "sample").option("--steps", 4).last("It's a cat.").toString()
 * // longalign sample --steps 4 'It'\''s a cat.'
 * }</pre>
 */
public final class ShellCommand {
  private final List<String> words = new ArrayList<>();

  public ShellCommand(String... command) {
    for (String word : command) {
      add(word);
    }
  }

  /** A word by itself. */
  public ShellCommand add(Object word) {
    words.add(quoted(word.toString()));
    return this;
  }

  /** An option and its value, which may look like an option. */
  public ShellCommand option(String name, Object value) {
    String text = value.toString();
    return text.startsWith("-") ? add(name + "=" + text) : add(name).add(text);
  }

  /** What is no option, even if it looks like one; nothing may follow. */
  public ShellCommand last(String argument) {
    return argument.startsWith("-") ? add("--").add(argument) : add(argument);
  }

  /** In single quotes, unless it is plain. */
  private static String quoted(String word) {
    return word.matches("[A-Za-z0-9_%+=:,./-]+") ? word : "'" + word.replace("'", "'\\''") + "'";
  }

  @Override
  public String toString() {
    return String.join(" ", words);
  }
}
