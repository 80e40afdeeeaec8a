package dev.longalign.onnx.tokenizer;

import dev.longalign.text.Tokenizer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * CLIP's tokenizer as Stable Diffusion was trained with it (transformers' CLIPTokenizer with ftfy
 * installed): special and added tokens are cut out, the rest is repaired, collapsed, lower-cased,
 * cut into words and byte-pair encoded. All in Java, because the fast tokenizer differs on
 * ligatures, quotes, entities, final sigma and more.
 */
final class SlowClipTokenizer implements Tokenizer {
  private final ClipVocabulary vocabulary;
  private final BytePairEncoding encoding;
  private final Map<Integer, String> names;
  private final Pattern specialPattern;

  SlowClipTokenizer(ClipVocabulary vocabulary) {
    this.vocabulary = vocabulary;
    encoding =
        new BytePairEncoding(
            vocabulary.tokens(), vocabulary.merges(), vocabulary.unknown().id(), true);
    names = vocabulary.names();
    specialPattern =
        Pattern.compile(
            vocabulary.special().keySet().stream()
                .sorted(Comparator.comparingInt(String::length).reversed()) // the longest wins
                .map(Pattern::quote)
                .collect(Collectors.joining("|")));
  }

  @Override
  public int[] encode(String text) {
    IntStream.Builder ids = IntStream.builder();
    ids.add(vocabulary.bos().id());
    for (String part : parts(text)) {
      SpecialToken token = vocabulary.special().get(part);
      if (token == null) {
        encodePlain(part, ids);
      } else {
        ids.add(token.id());
      }
    }
    return ids.add(vocabulary.eos().id()).build().toArray();
  }

  /** The text cut before and after every special token, which swallow white space beside them. */
  private List<String> parts(String text) {
    List<String> parts = new ArrayList<>();
    Matcher m = specialPattern.matcher(text);
    int start = 0;
    while (m.find()) {
      if (start < m.start()) {
        parts.add(text.substring(start, m.start()));
      }
      parts.add(m.group());
      start = m.end();
    }
    if (start < text.length()) {
      parts.add(text.substring(start));
    }
    for (int i = 0; i < parts.size(); i++) {
      SpecialToken token = vocabulary.special().get(parts.get(i));
      if (token == null) {
        continue;
      }
      String left = i > 0 ? parts.get(i - 1) : "";
      String right = i + 1 < parts.size() ? parts.get(i + 1) : "";
      if (token.rightStrip() && !right.isEmpty()) {
        parts.set(i + 1, PythonText.strip(right, true, false));
      }
      if (token.leftStrip() && !left.isEmpty()) {
        parts.set(i - 1, PythonText.strip(left, false, true));
      }
      // A token that must be a word is one only between blanks, those that it swallows included.
      if (token.singleWord() && !left.isEmpty() && !left.endsWith(" ")) {
        parts.set(i - 1, parts.get(i - 1) + token.content());
        parts.set(i, "");
      } else if (token.singleWord() && !right.isEmpty() && !right.startsWith(" ")) {
        parts.set(i + 1, token.content() + parts.get(i + 1));
        parts.set(i, "");
      }
    }
    return parts;
  }

  private void encodePlain(String text, IntStream.Builder ids) {
    String clean = PythonText.lower(PythonText.collapseSpaces(TextRepair.repair(text)));
    ClipWords.SLOW.forEach(
        clean,
        word -> {
          if (word.equals(ClipVocabulary.START)
              || word.equals(ClipVocabulary.END)) { // was written in capitals
            ids.add(vocabulary.tokens().getOrDefault(word, vocabulary.unknown().id()));
          } else {
            for (int id : encoding.encode(word)) {
              ids.add(id);
            }
          }
        });
  }

  @Override
  public List<int[]> encodeAll(List<String> texts) {
    return texts.stream().map(this::encode).toList();
  }

  @Override
  public String token(int id) {
    return names.getOrDefault(id, "<unknown id " + id + ">");
  }

  @Override
  public int size() {
    return vocabulary.size();
  }

  @Override
  public int bosId() {
    return vocabulary.bos().id();
  }

  @Override
  public int eosId() {
    return vocabulary.eos().id();
  }

  @Override
  public int padId() {
    return vocabulary.pad().id();
  }

  @Override
  public int modelMaxLength() {
    return vocabulary.modelMaxLength();
  }

  @Override
  public void close() {
    // nothing native is held
  }
}
