package dev.longalign.onnx.tokenizer;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

/**
 * The parts of a {@code tokenizer.json} that T5's and CLIP's have; every other is refused by its
 * key. Regular expressions are compared with those that are known, and never run.
 */
final class TokenizerJson {
  private static final String SEVERAL_BLANKS = " {2,}";

  private TokenizerJson() {}

  /** Cuts normalised text into words. */
  interface Words {
    void cut(Slice slice, Consumer<Slice> words);
  }

  /** {@code normalizer}: Precompiled, Strip and Replace, or a Sequence of them. */
  static UnaryOperator<Slice> normalizer(JsonValue json) {
    if (!json.get("type").is("Sequence")) {
      return json.exists() ? step(json) : slice -> slice;
    }
    List<JsonValue> steps = json.get("normalizers").list();
    if (steps.stream().filter(step -> step.get("type").is("Precompiled")).count() > 1) {
      throw json.get("normalizers").refusal("one Precompiled");
    }
    return sequence(steps.stream().map(TokenizerJson::step).toList());
  }

  private static UnaryOperator<Slice> step(JsonValue json) {
    JsonValue type = json.get("type");
    type.expect("Precompiled", "Strip", "Replace");
    return switch (type.text()) {
      case "Precompiled" -> precompiled(json.get("precompiled_charsmap"));
      case "Strip" -> strip(json.get("strip_left").flag(true), json.get("strip_right").flag(true));
      default -> replace(json);
    };
  }

  static UnaryOperator<Slice> sequence(List<UnaryOperator<Slice>> steps) {
    return slice -> {
      Slice result = slice;
      for (UnaryOperator<Slice> step : steps) {
        result = step.apply(result);
      }
      return result;
    };
  }

  private static UnaryOperator<Slice> precompiled(JsonValue json) {
    try {
      return new CharsMap(Base64.getDecoder().decode(json.text()))::apply;
    } catch (IOException e) {
      throw json.refusal("SentencePiece's character map, not " + e.getMessage());
    } catch (IllegalArgumentException e) {
      throw json.refusal("SentencePiece's character map in base 64");
    }
  }

  static UnaryOperator<Slice> strip(boolean left, boolean right) {
    return slice -> {
      String text = slice.text();
      int start = 0;
      int end = text.length();
      while (right && end > 0 && PythonText.isSpace(text.charAt(end - 1))) {
        end--;
      }
      while (left && start < end && PythonText.isSpace(text.charAt(start))) {
        start++;
      }
      return slice.part(start, end);
    };
  }

  private static UnaryOperator<Slice> replace(JsonValue json) {
    JsonValue pattern = json.get("pattern");
    boolean blanks = pattern.get("Regex").exists();
    if (blanks) {
      pattern.get("Regex").expect(SEVERAL_BLANKS);
    }
    String wanted = blanks ? " " : pattern.get("String").token();
    int times = blanks ? 2 : 1;
    String content = json.get("content").token();
    if (wanted.isEmpty() || content.length() > times * wanted.length()) {
      throw json.get("content").refusal("no more than what it replaces, so that texts cannot grow");
    }
    return replace(wanted, times, content);
  }

  /** Replaces a text, or where {@code times} is 2 or more all its repetitions from that many on. */
  static UnaryOperator<Slice> replace(String wanted, int times, String content) {
    String least = wanted.repeat(times);
    return slice -> {
      String text = slice.text();
      int found = text.indexOf(least);
      if (found < 0) {
        return slice;
      }
      StringBuilder out = new StringBuilder(text.length());
      int leading = slice.leading();
      int done = 0;
      for (; found >= 0; found = text.indexOf(least, done)) {
        int end = found + least.length();
        while (times > 1 && text.startsWith(wanted, end)) {
          end += wanted.length();
        }
        out.append(text, done, found);
        // What is put in belongs to the last character that it replaces.
        if (found < slice.leading()) {
          leading = end <= slice.leading() ? out.length() + content.length() : out.length();
        }
        out.append(content);
        done = end;
      }
      return new Slice(out.append(text, done, text.length()).toString(), leading);
    };
  }

  /** {@code pre_tokenizer}: WhitespaceSplit and Metaspace, one of them or both in this order. */
  static Words words(JsonValue json) {
    List<JsonValue> steps =
        json.get("type").is("Sequence")
            ? json.get("pretokenizers").list()
            : json.exists() ? List.of(json) : List.of();
    List<Words> known = new ArrayList<>();
    for (JsonValue step : steps) {
      step.get("type").expect("WhitespaceSplit", "Metaspace");
      known.add(step.get("type").is("Metaspace") ? metaspace(step) : TokenizerJson::atWhiteSpace);
    }
    if (known.size() > 2) {
      throw json.refusal("WhitespaceSplit and Metaspace");
    }
    return switch (known.size()) {
      case 0 -> (slice, words) -> words.accept(slice);
      case 1 -> known.get(0);
      default -> (slice, words) -> known.get(0).cut(slice, part -> known.get(1).cut(part, words));
    };
  }

  private static void atWhiteSpace(Slice slice, Consumer<Slice> words) {
    String text = slice.text();
    int start = 0;
    for (int at = 0; at <= text.length(); at++) {
      if (at == text.length() || PythonText.isSpace(text.charAt(at))) {
        if (start < at) {
          words.accept(slice.part(start, at));
        }
        start = at + 1;
      }
    }
  }

  private static Words metaspace(JsonValue json) {
    JsonValue replacement = json.get("replacement");
    if (replacement.text().length() != 1 || Character.isSurrogate(replacement.text().charAt(0))) {
      throw replacement.refusal("one character");
    }
    JsonValue scheme = json.get("prepend_scheme");
    scheme.expect("always", "first", "never", null);
    boolean prefix = json.get("add_prefix_space").flag(!scheme.is("never"));
    if (!prefix && (scheme.is("always") || scheme.is("first"))) {
      throw scheme.refusal("\"never\", because add_prefix_space is false");
    }
    return metaspace(
        replacement.text().charAt(0),
        prefix && !scheme.is("never"),
        scheme.is("first"),
        json.get("split").flag(true));
  }

  /**
   * Marks blanks, puts a mark before the text if {@code prepend} says so, and cuts before each.
   *
   * @param first whether only the beginning of the whole text gets one
   */
  static Words metaspace(char mark, boolean prepend, boolean first, boolean split) {
    return (slice, words) -> {
      String marked = slice.text().replace(' ', mark);
      boolean missing = marked.isEmpty() || marked.charAt(0) != mark;
      if (prepend && missing && (!first || slice.leading() > 0)) {
        marked = mark + marked;
      }
      int start = 0;
      for (int at = 1; at <= marked.length(); at++) {
        if (at == marked.length() || split && marked.charAt(at) == mark) {
          words.accept(new Slice(marked.substring(start, at), 0));
          start = at;
        }
      }
    };
  }

  /** {@code post_processor}: TemplateProcessing for one text, or RobertaProcessing. */
  static FastTokenizer.Template template(JsonValue json) {
    JsonValue type = json.get("type");
    type.expect("TemplateProcessing", "RobertaProcessing");
    if (type.is("RobertaProcessing")) {
      return new FastTokenizer.Template(
          new int[] {idOfPair(json.get("cls"))}, new int[] {idOfPair(json.get("sep"))});
    }
    List<List<Integer>> sides = new ArrayList<>(List.of(new ArrayList<>()));
    for (JsonValue piece : json.get("single").list()) {
      if (piece.get("Sequence").exists()) {
        piece.get("Sequence").get("id").expect("A");
        sides.add(new ArrayList<>());
        continue;
      }
      String name = piece.get("SpecialToken").get("id").text();
      JsonValue ids = json.get("special_tokens").get(name).get("ids");
      List<Integer> last = sides.get(sides.size() - 1);
      ids.stream().forEach(id -> last.add(id.id()));
    }
    if (sides.size() != 2) {
      throw json.get("single").refusal("one sequence A and the tokens around it");
    }
    return new FastTokenizer.Template(ids(sides.get(0)), ids(sides.get(1)));
  }

  private static int idOfPair(JsonValue json) {
    List<JsonValue> pair = json.list();
    if (pair.size() != 2) {
      throw json.refusal("a token and its id");
    }
    return pair.get(1).id();
  }

  private static int[] ids(List<Integer> side) {
    return side.stream().mapToInt(id -> id).toArray();
  }
}
