package dev.longalign.onnx.tokenizer;

import java.text.Normalizer;
import java.util.HashMap;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * The repairs that Stable Diffusion's tokenizer makes before anything else, because the original
 * one calls {@code ftfy.fix_text}: HTML entities, mojibake, ligatures, full-width forms, curly
 * quotes, line breaks, surrogates, terminal escapes, control characters, NFC. Follows ftfy 6.3
 * (Robyn Speer, Apache License 2.0, https://github.com/rspeer/python-ftfy) with its default
 * options. Thread-safe, linear in practice.
 */
public final class TextRepair {
  private static final int MAX_SEGMENT = 1_000_000; // code points

  /** ASCII without the ampersand and controls: nothing to repair. */
  private static final Pattern PLAIN = Pattern.compile("[\\t\\n\\f\\x20-\\x25\\x27-\\x7e]*+");

  private static final Pattern SINGLE_QUOTE = Pattern.compile("[\\u02bc\\u2018-\\u201b]");
  private static final Pattern DOUBLE_QUOTE = Pattern.compile("[\\u201c-\\u201f]");
  private static final Pattern LINE_BREAK = Pattern.compile("\\r\\n|[\\r\\u2028\\u2029\\u0085]");
  private static final Pattern TERMINAL_ESCAPE = Pattern.compile("\\x1b\\[[\\p{Nd};]*+[a-zA-Z]");
  private static final Pattern CONTROL =
      Pattern.compile("[\\x00-\\x08\\x0b\\x0e-\\x1f\\x7f\\u206a-\\u206f\\ufeff\\ufff9-\\ufffc]");

  private static final Map<Character, String> LIGATURES =
      Map.ofEntries(
          Map.entry('\u0132', "IJ"),
          Map.entry('\u0133', "ij"),
          Map.entry('\u0149', "\u02bcn"),
          Map.entry('\u01f1', "DZ"),
          Map.entry('\u01f2', "Dz"),
          Map.entry('\u01f3', "dz"),
          Map.entry('\u01c4', "D\u017d"),
          Map.entry('\u01c5', "D\u017e"),
          Map.entry('\u01c6', "d\u017e"),
          Map.entry('\u01c7', "LJ"),
          Map.entry('\u01c8', "Lj"),
          Map.entry('\u01c9', "lj"),
          Map.entry('\u01ca', "NJ"),
          Map.entry('\u01cb', "Nj"),
          Map.entry('\u01cc', "nj"),
          Map.entry('\ufb00', "ff"),
          Map.entry('\ufb01', "fi"),
          Map.entry('\ufb02', "fl"),
          Map.entry('\ufb03', "ffi"),
          Map.entry('\ufb04', "ffl"),
          Map.entry('\ufb05', "\u017ft"),
          Map.entry('\ufb06', "st"));

  private static final Map<Character, String> WIDTHS = widths();

  private TextRepair() {}

  /** The repaired text; the same text if nothing was wrong with it. */
  public static String repair(String text) {
    if (PLAIN.matcher(text).matches()) {
      return text;
    }
    StringBuilder out = new StringBuilder(text.length());
    boolean entities = true;
    for (int start = 0; start < text.length(); ) {
      int newline = text.indexOf('\n', start);
      int end = newline < 0 ? text.length() : newline + 1;
      if (end - start > MAX_SEGMENT && text.codePointCount(start, end) > MAX_SEGMENT) {
        end = text.offsetByCodePoints(start, MAX_SEGMENT);
      }
      String segment = text.substring(start, end);
      // A literal '<' says that this is HTML, whose entities are meant; from here on, as in the
      // original.
      entities &= segment.indexOf('<') < 0;
      out.append(repairSegment(segment, entities));
      start = end;
    }
    return out.toString();
  }

  private static String repairSegment(String text, boolean entities) {
    String before;
    do {
      before = text;
      if (entities) {
        text = HtmlEntities.unescape(text);
      }
      text = Mojibake.fix(text);
      text = Mojibake.fixC1Controls(text);
      text = translate(text, LIGATURES);
      text = translate(text, WIDTHS);
      text = DOUBLE_QUOTE.matcher(text).replaceAll("\"");
      text = SINGLE_QUOTE.matcher(text).replaceAll("'");
      text = LINE_BREAK.matcher(text).replaceAll("\n");
      text = replaceLoneSurrogates(text);
      text = TERMINAL_ESCAPE.matcher(text).replaceAll("");
      text = CONTROL.matcher(text).replaceAll("");
      text = Nfc.of(text);
    } while (!text.equals(before));
    return text;
  }

  /** Every surrogate without a partner becomes U+FFFD. */
  static String replaceLoneSurrogates(String text) {
    StringBuilder out = null;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (!Character.isSurrogate(c)) {
        continue;
      }
      if (Character.isHighSurrogate(c)
          && i + 1 < text.length()
          && Character.isLowSurrogate(text.charAt(i + 1))) {
        i++;
        continue;
      }
      if (out == null) {
        out = new StringBuilder(text);
      }
      out.setCharAt(i, '\uFFFD');
    }
    return out == null ? text : out.toString();
  }

  private static String translate(String text, Map<Character, String> table) {
    StringBuilder out = null;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      String replacement = c < 0x80 ? null : table.get(c);
      if (replacement != null && out == null) {
        out = new StringBuilder(text.length() + 8).append(text, 0, i);
      }
      if (out != null) {
        if (replacement == null) {
          out.append(c);
        } else {
          out.append(replacement);
        }
      }
    }
    return out == null ? text : out.toString();
  }

  private static Map<Character, String> widths() {
    Map<Character, String> widths = new HashMap<>();
    widths.put('\u3000', " ");
    for (char c = '\uff01'; c < '\ufff0'; c++) {
      String standard = Normalizer.normalize(String.valueOf(c), Normalizer.Form.NFKC);
      if (!standard.equals(String.valueOf(c))) {
        widths.put(c, standard);
      }
    }
    return Map.copyOf(widths);
  }
}
