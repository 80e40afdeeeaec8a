package dev.longalign.onnx.tokenizer;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Undoes "UTF-8 read in the wrong code page" (the encoding part of ftfy 6.3's fix_text, whose
 * decisions SD's tokenizer inherits). Text is touched only where neighbouring characters are an
 * unlikely pair; the classes of characters and the unlikely pairs are in {@code mojibake.json}.
 */
final class Mojibake {
  private static final Pattern ASCII = Pattern.compile("[\\x00-\\x7f]*+");
  private static final Pattern C1 = Pattern.compile("[\\x80-\\x9f]");
  private static final String SPACE =
      "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
  private static final String WORD = "[\\p{L}\\p{N}_]";

  /** "a grave" as a word of its own, whose byte A0 became a blank. */
  private static final Pattern A_GRAVE = Pattern.compile("\\xc3 (?! |quele|quela|quilo|s )");

  /**
   * UTF-8 in which a byte A0 became a blank, for lead bytes where that gives a likely character.
   */
  private static final Pattern LOST_A0 =
      Pattern.compile(
          "[\\xc2\\xc3\\xc5\\xce\\xd0\\xd9] "
              + "|[\\xe2\\xe3] [\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf]"
              + "|[\\xe0-\\xe3][\\x80-\\x84\\x86-\\x9f\\xa1-\\xbf] "
              + "|\\xf0 [\\x80-\\xbf][\\x80-\\xbf]"
              + "|\\xf0[\\x80-\\xbf] [\\x80-\\xbf]"
              + "|\\xf0[\\x80-\\xbf][\\x80-\\xbf] ");

  /**
   * UTF-8 and CESU-8 in which continuation bytes became U+FFFD (here byte 1A) or, once, a question
   * mark.
   */
  private static final Pattern LOST_BYTES =
      Pattern.compile(
          "[\\xc2-\\xdf]\\x1a"
              + "|[\\xc2-\\xc3]\\?"
              + "|\\xed[\\xa0-\\xaf][\\x1a?]\\xed[\\xb0-\\xbf][\\x1a?\\x80-\\xbf]"
              + "|\\xed[\\xa0-\\xaf][\\x1a?\\x80-\\xbf]\\xed[\\xb0-\\xbf][\\x1a?]"
              + "|[\\xe0-\\xef][\\x1a?][\\x1a\\x80-\\xbf]"
              + "|[\\xe0-\\xef][\\x1a\\x80-\\xbf][\\x1a?]"
              + "|[\\xf0-\\xf4][\\x1a?][\\x1a\\x80-\\xbf][\\x1a\\x80-\\xbf]"
              + "|[\\xf0-\\xf4][\\x1a\\x80-\\xbf][\\x1a?][\\x1a\\x80-\\xbf]"
              + "|[\\xf0-\\xf4][\\x1a\\x80-\\xbf][\\x1a\\x80-\\xbf][\\x1a?]"
              + "|\\x1a");

  /**
   * A supplementary character written as two encoded surrogates (CESU-8), or Java's two-byte NUL.
   */
  private static final Pattern UTF8_VARIANT =
      Pattern.compile(
          "\\xc0\\x80|\\xed([\\xa0-\\xaf])([\\x80-\\xbf])\\xed([\\xb0-\\xbf])([\\x80-\\xbf])");

  private static final String LOST = latin1("\uFFFD");

  private static final List<CodePage> PAGES = new ArrayList<>();
  private static final CodePage WINDOWS_1252;
  private static final Pattern UNLIKELY;
  private static final Pattern UTF8_LOOKALIKE;

  static {
    JsonObject tables = JsonParser.parseString(Resources.text("mojibake.json")).getAsJsonObject();
    for (JsonElement page : tables.getAsJsonArray("codePages")) {
      JsonObject o = page.getAsJsonObject();
      PAGES.add(new CodePage(o.get("name").getAsString(), o.get("high").getAsString()));
    }
    WINDOWS_1252 =
        PAGES.stream()
            .filter(p -> p.name().equals("sloppy-windows-1252"))
            .findFirst()
            .orElseThrow();
    Map<String, String> classes = new TreeMap<>(Map.of("space", SPACE, "word", WORD));
    tables
        .getAsJsonObject("classes")
        .entrySet()
        .forEach(e -> classes.put(e.getKey(), e.getValue().getAsString()));
    tables
        .getAsJsonObject("utf8Clues")
        .entrySet()
        .forEach(e -> classes.put(e.getKey(), e.getValue().getAsString()));
    StringJoiner rules = new StringJoiner("|");
    tables.getAsJsonArray("unlikely").forEach(rule -> rules.add(fill(rule.getAsString(), classes)));
    UNLIKELY = Pattern.compile(rules.toString());
    // Possessive: nothing follows that could need backtracking, and Java would otherwise recurse
    // once per repetition.
    UTF8_LOOKALIKE =
        Pattern.compile(
            fill(
                "(?<![{utf8_continuation_strict}])(?:[{utf8_first_of_2}][{utf8_continuation}]"
                    + "|[{utf8_first_of_3}][{utf8_continuation}]{2}|[{utf8_first_of_4}][{utf8_continuation}]{3})++",
                classes));
  }

  private Mojibake() {}

  /** The text with its mojibake undone; itself if there is none or none that can be undone. */
  static String fix(String text) {
    String before;
    do {
      before = text;
      text = fixOnce(text);
    } while (!text.equals(before));
    return text;
  }

  /** C1 controls read as windows-1252, as browsers do. */
  static String fixC1Controls(String text) {
    return C1.matcher(text)
        .replaceAll(
            m ->
                Matcher.quoteReplacement(String.valueOf(WINDOWS_1252.decode(m.group().charAt(0)))));
  }

  private static String fixOnce(String text) {
    if (ASCII.matcher(text).matches() || !isBad(text)) {
      return text;
    }
    for (CodePage page : PAGES) {
      String bytes = page.encode(text);
      if (bytes != null) {
        String decoded = reread(bytes, page);
        if (decoded != null) {
          return decoded;
        }
      }
    }
    String inner = fixLookalikes(text);
    if (!inner.equals(text)) {
      return inner;
    }
    return fixC1Controls(text);
  }

  private static boolean isBad(String text) {
    return UNLIKELY.matcher(text).find();
  }

  /**
   * Bytes read as UTF-8, after putting back what a sloppy program lost on the way; null if they are
   * not UTF-8.
   */
  private static String reread(String bytes, CodePage page) {
    // In MacRoman an en dash before a blank would look like a lost A0.
    if (!page.name().equals("macroman") && LOST_A0.matcher(bytes).find()) {
      bytes = A_GRAVE.matcher(bytes).replaceAll("\u00c3\u00a0 ");
      bytes = LOST_A0.matcher(bytes).replaceAll(m -> m.group().replace(' ', '\u00a0'));
    }
    if (page.isSloppy()) {
      bytes = LOST_BYTES.matcher(bytes).replaceAll(LOST);
    }
    if (bytes.indexOf('\u00ed') >= 0 || bytes.indexOf('\u00c0') >= 0) {
      bytes =
          UTF8_VARIANT
              .matcher(bytes)
              .replaceAll(m -> m.group(1) == null ? "\0" : supplementary(m.group()));
    }
    try {
      return StandardCharsets.UTF_8
          .newDecoder()
          .decode(ByteBuffer.wrap(CodePage.bytes(bytes)))
          .toString();
    } catch (CharacterCodingException e) {
      return null;
    }
  }

  private static String supplementary(String cesu) {
    int codePoint =
        0x10000
            + ((cesu.charAt(1) & 0x0F) << 16)
            + ((cesu.charAt(2) & 0x3F) << 10)
            + ((cesu.charAt(4) & 0x0F) << 6)
            + (cesu.charAt(5) & 0x3F);
    return latin1(Character.toString(codePoint));
  }

  /** Sequences inside otherwise sound text that look like UTF-8, each fixed on its own. */
  private static String fixLookalikes(String text) {
    return UTF8_LOOKALIKE
        .matcher(text)
        .replaceAll(
            m -> {
              String part = m.group();
              boolean shorter = part.length() < text.length();
              return Matcher.quoteReplacement(shorter && isBad(part) ? fix(part) : part);
            });
  }

  private static String latin1(String text) {
    return new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1);
  }

  private static String fill(String rule, Map<String, String> classes) {
    for (Map.Entry<String, String> e : classes.entrySet()) {
      rule = rule.replace("{" + e.getKey() + "}", e.getValue());
    }
    return rule;
  }
}
