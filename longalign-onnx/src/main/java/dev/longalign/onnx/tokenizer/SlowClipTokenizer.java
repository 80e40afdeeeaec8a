package dev.longalign.onnx.tokenizer;

import dev.longalign.text.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * CLIP's tokenizer as Stable Diffusion was trained with it (transformers' CLIPTokenizer with ftfy
 * installed): special tokens are cut out, the rest is repaired, collapsed, lower-cased, cut into
 * words and byte-pair encoded. All in Java, because the fast tokenizer differs on ligatures,
 * quotes, entities, final sigma and more.
 */
final class SlowClipTokenizer implements Tokenizer {
  private static final int MAX_CACHED_WORDS = 1 << 14; // about 2 MB
  private static final int MAX_CACHED_LENGTH = 24;

  private final ClipVocabulary vocabulary;
  private final BytePairEncoding encoding;
  private final Map<Integer, String> names = new HashMap<>();
  private final Map<String, SpecialToken> special;
  private final Pattern specialPattern;
  private final Map<String, int[]> words = new ConcurrentHashMap<>();

  SlowClipTokenizer(ClipVocabulary vocabulary) {
    this.vocabulary = vocabulary;
    encoding =
        new BytePairEncoding(vocabulary.tokens(), vocabulary.merges(), vocabulary.unknownId());
    vocabulary.tokens().forEach((token, id) -> names.putIfAbsent(id, token));
    special =
        vocabulary.special().stream().collect(Collectors.toMap(SpecialToken::content, t -> t));
    specialPattern =
        Pattern.compile(
            special.keySet().stream()
                .sorted(Comparator.comparingInt(String::length).reversed()) // the longest wins
                .map(Pattern::quote)
                .collect(Collectors.joining("|")));
  }

  @Override
  public int[] encode(String text) {
    IntStream.Builder ids = IntStream.builder();
    ids.add(vocabulary.bosId());
    Matcher m = specialPattern.matcher(text);
    int start = 0;
    boolean stripLeft = false; // whether the token before swallows white space
    while (m.find()) {
      SpecialToken token = special.get(m.group());
      encodePlain(
          PythonText.strip(text.substring(start, m.start()), stripLeft, token.leftStrip()), ids);
      ids.add(token.id());
      stripLeft = token.rightStrip();
      start = m.end();
    }
    encodePlain(PythonText.strip(text.substring(start), stripLeft, false), ids);
    return ids.add(vocabulary.eosId()).build().toArray();
  }

  private void encodePlain(String text, IntStream.Builder ids) {
    String clean = PythonText.lower(PythonText.collapseSpaces(TextRepair.repair(text)));
    ClipWords.forEach(
        clean,
        word -> {
          if (word.equals(ClipVocabulary.START)
              || word.equals(ClipVocabulary.END)) { // was written in capitals
            ids.add(vocabulary.tokens().getOrDefault(word, vocabulary.unknownId()));
          } else {
            for (int id : encodeWord(word)) {
              ids.add(id);
            }
          }
        });
  }

  private int[] encodeWord(String word) {
    int[] known = words.get(word);
    if (known != null) {
      return known;
    }
    int[] ids = encoding.encode(word.getBytes(StandardCharsets.UTF_8));
    if (word.length() <= MAX_CACHED_LENGTH && words.size() < MAX_CACHED_WORDS) {
      words.put(word, ids);
    }
    return ids;
  }

  @Override
  public List<int[]> encodeAll(List<String> texts) {
    return texts.stream().map(this::encode).collect(Collectors.toList());
  }

  @Override
  public String token(int id) {
    return names.getOrDefault(id, "<unknown id " + id + ">");
  }

  @Override
  public int bosId() {
    return vocabulary.bosId();
  }

  @Override
  public int eosId() {
    return vocabulary.eosId();
  }

  @Override
  public int padId() {
    return vocabulary.padId();
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
