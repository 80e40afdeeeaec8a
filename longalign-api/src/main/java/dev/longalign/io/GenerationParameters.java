package dev.longalign.io;

import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.util.ArrayList;
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
  private static final Pattern NAME = Pattern.compile("(\\w[\\w \\-/]{0,60}):\\s*");

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
   * the prompt, and what follows that line to the settings.
   */
  public static GenerationParameters parse(String text) {
    List<String> lines = text.strip().lines().toList();
    int end = settingsLine(lines);
    Map<String, String> settings = settings(String.join(", ", lines.subList(end, lines.size())));
    List<String> prompt = new ArrayList<>();
    List<String> negative = new ArrayList<>();
    boolean inNegative = false;
    for (String line : lines.subList(0, end)) {
      boolean begins = line.startsWith(NEGATIVE.strip());
      inNegative |= begins;
      String content = begins ? line.substring(NEGATIVE.strip().length()).stripLeading() : line;
      (inNegative ? negative : prompt).add(content);
    }
    return new GenerationParameters(
        String.join("\n", prompt), String.join("\n", negative), settings);
  }

  /** The last line, or one before it that begins as web UIs begin it; else none. */
  private static int settingsLine(List<String> lines) {
    for (int i = lines.size() - 1; i >= 0; i--) {
      String line = lines.get(i);
      if ((i == lines.size() - 1 || line.startsWith("Steps: "))
          && settings(line).size() >= MIN_SETTINGS) {
        return i;
      }
    }
    return lines.size();
  }

  private static Map<String, String> settings(String line) {
    Map<String, String> settings = new LinkedHashMap<>();
    Matcher name = NAME.matcher(line);
    int at = 0;
    while (at < line.length() && name.find(at)) {
      int end = endOfValue(line, name.end());
      settings.putIfAbsent(name.group(1), unquoted(line.substring(name.end(), end).strip()));
      at = end + 1;
    }
    return settings;
  }

  /** A value ends at a comma; a text in quotes or JSON in brackets may have commas inside. */
  private static int endOfValue(String line, int begin) {
    int depth = 0;
    boolean quoted = false;
    for (int i = begin; i < line.length(); i++) {
      char c = line.charAt(i);
      if (i == begin && "\"[{".indexOf(c) < 0) {
        break;
      } else if (quoted && c == '\\') {
        i++;
      } else if (c == '"') {
        quoted = !quoted;
      } else if (!quoted) {
        depth += "[{".indexOf(c) >= 0 ? 1 : "]}".indexOf(c) >= 0 ? -1 : 0;
        if (c == ',' && depth <= 0) {
          return i;
        }
      }
      if (i == line.length() - 1 && !quoted && depth <= 0) {
        return line.length();
      }
    }
    int comma = line.indexOf(',', begin);
    return comma < 0 ? line.length() : comma;
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
