package dev.longalign.io;

import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The {@code parameters} text that A1111's web UI and its many readers put into pictures: the
 * prompt, a line {@code Negative prompt: ...}, and a last line {@code Steps: 25, Sampler: UniPC,
 * CFG scale: 7.5, Seed: 42, ...}.
 *
 * @param settings in the order of the last line
 */
public record GenerationParameters(
    String prompt, String negativePrompt, Map<String, String> settings) {
  /** The keyword of the PNG chunk. */
  public static final String KEYWORD = "parameters";

  private static final String NEGATIVE = "Negative prompt: ";
  private static final Pattern SETTING =
      Pattern.compile("\\s*([\\w][\\w \\-/]*):\\s*(\"(?:\\\\.|[^\\\\\"])*+\"|[^,]*)(?:,|$)");

  /**
   * How many settings the last line must have to be taken for settings and not for prose; as A1111
   * does.
   */
  private static final int MIN_SETTINGS = 3;

  public GenerationParameters {
    settings = Collections.unmodifiableMap(new LinkedHashMap<>(settings));
  }

  public String format() {
    List<String> lines = new ArrayList<>(List.of(prompt));
    if (!negativePrompt.isEmpty()) {
      lines.add(NEGATIVE + negativePrompt);
    }
    List<String> pairs = new ArrayList<>();
    settings.forEach((name, value) -> pairs.add(name + ": " + quoted(value)));
    lines.add(String.join(", ", pairs));
    return String.join("\n", lines).stripTrailing();
  }

  /**
   * Reads what {@link #format} or another program has written; what is no settings line belongs to
   * the prompt.
   */
  public static GenerationParameters parse(String text) {
    List<String> lines = new ArrayList<>(Arrays.asList(text.strip().split("\n")));
    Map<String, String> settings = settings(lines.get(lines.size() - 1));
    if (settings.size() >= MIN_SETTINGS) {
      lines.remove(lines.size() - 1);
    } else {
      settings = Map.of();
    }
    List<String> prompt = new ArrayList<>();
    List<String> negative = new ArrayList<>();
    boolean inNegative = false;
    for (String line : lines) {
      boolean begins = line.startsWith(NEGATIVE.strip());
      inNegative |= begins;
      String content = begins ? line.substring(NEGATIVE.strip().length()).stripLeading() : line;
      (inNegative ? negative : prompt).add(content);
    }
    return new GenerationParameters(
        String.join("\n", prompt), String.join("\n", negative), settings);
  }

  private static Map<String, String> settings(String line) {
    Map<String, String> settings = new LinkedHashMap<>();
    Matcher matcher = SETTING.matcher(line);
    while (matcher.find()) {
      settings.put(matcher.group(1), unquoted(matcher.group(2)));
    }
    return settings;
  }

  private static String quoted(String value) {
    boolean plain = value.chars().noneMatch(c -> c == ',' || c == ':' || c == '\n' || c == '"');
    return plain && value.equals(value.strip()) ? value : new JsonPrimitive(value).toString();
  }

  private static String unquoted(String value) {
    if (!value.startsWith("\"")) {
      return value.strip();
    }
    try {
      return JsonParser.parseString(value).getAsString();
    } catch (JsonParseException | IllegalStateException notJson) {
      return value;
    }
  }
}
