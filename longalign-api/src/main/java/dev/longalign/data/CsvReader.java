package dev.longalign.data;

import java.util.ArrayList;
import java.util.List;

/** Comma-separated values (RFC 4180): quoted fields may hold commas, line ends and "" for ". */
final class CsvReader {
  private final String text;
  private int at;
  private int line = 1;
  private int first = 1;

  CsvReader(String text) {
    this.text = text;
  }

  /** Where the last row began, from 1. */
  int line() {
    return first;
  }

  /** The fields of the next row; null behind the last. */
  List<String> next() {
    if (at >= text.length()) {
      return null;
    }
    first = line;
    List<String> fields = new ArrayList<>();
    StringBuilder field = new StringBuilder();
    boolean quoted = false;
    while (at < text.length()) {
      char c = text.charAt(at++);
      line += c == '\n' ? 1 : 0;
      if (quoted && c == '"' && at < text.length() && text.charAt(at) == '"') {
        field.append('"');
        at++;
      } else if (c == '"' && (quoted || field.length() == 0)) {
        quoted = !quoted;
      } else if (quoted) {
        field.append(c);
      } else if (c == ',') {
        fields.add(field.toString());
        field.setLength(0);
      } else if (c == '\n') {
        break;
      } else {
        field.append(c);
      }
    }
    fields.add(field.toString());
    return fields;
  }
}
