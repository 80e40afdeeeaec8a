package dev.longalign.onnx.tokenizer;

import java.math.BigInteger;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * HTML character references that end in a semicolon: named, upper-cased names, decimal,
 * hexadecimal.
 */
final class HtmlEntities {
  private static final Pattern ENTITY = Pattern.compile("&#?[0-9A-Za-z]{1,24};");
  private static final Pattern NUMBER = Pattern.compile("&#(?:([0-9]+)|[xX]([0-9a-fA-F]+));");

  /**
   * What bytes 80..9F mean in a numeric reference (HTML5's table, which is windows-1252 where that
   * is assigned).
   */
  private static final String C1 =
      "\u20AC\u0081\u201A\u0192\u201E\u2026\u2020\u2021\u02C6\u2030\u0160\u2039\u0152\u008D\u017D\u008F"
          + "\u0090\u2018\u2019\u201C\u201D\u2022\u2013\u2014\u02DC\u2122\u0161\u203A\u0153\u009D\u017E\u0178";

  private static final Map<String, String> NAMED = named();

  private HtmlEntities() {}

  static String unescape(String text) {
    if (text.indexOf('&') < 0) {
      return text;
    }
    return ENTITY.matcher(text).replaceAll(m -> Matcher.quoteReplacement(decode(m.group())));
  }

  private static String decode(String entity) {
    String named = NAMED.get(entity.substring(1, entity.length() - 1));
    if (named != null) {
      return named;
    }
    Matcher m = NUMBER.matcher(entity);
    if (!m.matches()) {
      return entity;
    }
    BigInteger value =
        m.group(1) != null ? new BigInteger(m.group(1)) : new BigInteger(m.group(2), 16);
    String decoded = value.bitLength() > 21 ? "\uFFFD" : numeric(value.intValue());
    return decoded.equals(";")
        ? entity
        : decoded; // ftfy takes a remaining ';' for a failure, also this one
  }

  private static String numeric(int c) {
    if (c == 0 || c > Character.MAX_CODE_POINT || (c >= 0xD800 && c <= 0xDFFF)) {
      return "\uFFFD";
    }
    if (c >= 0x80 && c <= 0x9F) {
      return C1.substring(c - 0x80, c - 0x7F);
    }
    boolean control = c < 0x20 && c != '\t' && c != '\n' && c != '\f' && c != '\r';
    boolean noncharacter = (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE;
    return control || c == 0x7F || noncharacter ? "" : Character.toString(c);
  }

  private static Map<String, String> named() {
    Map<String, String> names = new HashMap<>();
    for (String line : Resources.lines("html-entities.txt")) {
      String[] fields = line.split(" ");
      StringBuilder value = new StringBuilder();
      for (int i = 1; i < fields.length; i++) {
        value.appendCodePoint(Integer.parseInt(fields[i], 16));
      }
      names.put(fields[0], value.toString());
    }
    return Map.copyOf(names);
  }
}
