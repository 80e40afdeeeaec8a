package dev.longalign.onnx.tokenizer;

import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.IntConsumer;
import java.util.function.UnaryOperator;

/**
 * The tokens that a fast tokenizer finds in a text before anything else, as Hugging Face's
 * tokenizers finds them: first those that are searched for in the text as it stands, then, in what
 * is left and normalised, the others; the leftmost first, of several the longest. Thread-safe.
 */
final class AddedVocabulary {
  /** Word characters of Unicode 16 that Java 17 does not know. */
  private static final BitSet NEWER_WORDS = Resources.characters(Resources.NEWER, 'L');

  static {
    NEWER_WORDS.andNot(Resources.characters(Resources.NEWER, 'X'));
    NEWER_WORDS.or(Resources.characters(Resources.NEWER, 'W'));
  }

  private final Map<String, Integer> ids = new HashMap<>();
  private final Map<Integer, SpecialToken> tokens = new HashMap<>();
  private final UnaryOperator<Slice> normalizer;
  private final PieceTrie plain = new PieceTrie();
  private final PieceTrie normalized = new PieceTrie();
  private int size;

  /**
   * @param file for messages
   * @param added in the order in which they were added; their ids are not read: a token has the
   *     model's id, else the next one
   * @param modelId the model's id of a token, or null
   * @param modelSize how many ids the model has
   */
  AddedVocabulary(
      Path file,
      List<SpecialToken> added,
      Function<String, Integer> modelId,
      int modelSize,
      UnaryOperator<Slice> normalizer) {
    this.normalizer = normalizer;
    this.size = modelSize;
    List<SpecialToken> special = new ArrayList<>();
    List<SpecialToken> others = new ArrayList<>();
    Set<String> specialNames = new HashSet<>();
    for (SpecialToken token : added) {
      if (token.content().isEmpty()) {
        continue;
      }
      if (token.special() && specialNames.add(token.content())) {
        special.add(token);
      }
      Integer id = ids.getOrDefault(token.content(), modelId.apply(token.content()));
      id = id == null ? size : id;
      size = Math.max(size, id + 1);
      ids.put(token.content(), id);
      tokens.put(id, token);
      if (!specialNames.contains(token.content())) {
        others.add(token);
      }
    }
    special.addAll(others);
    Collections.reverse(special); // what comes first has the last word
    for (SpecialToken token : special) {
      int id = ids.get(token.content());
      if (!token.normalized()) {
        plain.put(token.content(), id);
        continue;
      }
      String pattern = normalizer.apply(new Slice(token.content(), 0)).text();
      if (pattern.isEmpty()) {
        throw new LongAlignException(
            file
                + ": the added token \""
                + Names.printable(token.content())
                + "\" is nothing once it is normalised; expected one that can be found in a text");
      }
      normalized.put(pattern, id);
    }
  }

  /** How many ids there are, with the model's: one more than the largest. */
  int size() {
    return size;
  }

  /** The id of an added token, or null. */
  Integer id(String content) {
    return ids.get(content);
  }

  /** The added tokens by id. */
  Map<Integer, SpecialToken> tokens() {
    return Collections.unmodifiableMap(tokens);
  }

  /** Cuts a text at the added tokens; what lies between comes normalised and is not empty. */
  void split(String text, IntConsumer found, Consumer<Slice> between) {
    split(
        plain,
        Slice.whole(text),
        found,
        slice -> split(normalized, normalizer.apply(slice), found, between));
  }

  private void split(PieceTrie trie, Slice slice, IntConsumer found, Consumer<Slice> between) {
    String text = slice.text();
    int done = 0;
    for (int at = 0; at < text.length(); ) {
      int end = at;
      int node = 0;
      int id = PieceTrie.NONE;
      for (int i = at; i < text.length(); ) {
        node = trie.next(node, text.charAt(i++));
        if (node == PieceTrie.NONE) {
          break;
        }
        if (trie.value(node) != PieceTrie.NONE) {
          end = i;
          id = trie.value(node);
        }
      }
      if (id == PieceTrie.NONE) {
        at++;
        continue;
      }
      SpecialToken token = tokens.get(id);
      int start = at;
      at = end;
      if (token.singleWord()
          && (start > 0 && isWord(text.codePointBefore(start))
              || end < text.length() && isWord(text.codePointAt(end)))) {
        continue;
      }
      while (token.leftStrip() && start > done && PythonText.isSpace(text.charAt(start - 1))) {
        start--;
      }
      while (token.rightStrip() && end < text.length() && PythonText.isSpace(text.charAt(end))) {
        end++;
      }
      if (done < start) {
        between.accept(slice.part(done, start));
      }
      found.accept(id);
      done = end;
    }
    if (done < text.length()) {
      between.accept(slice.part(done, text.length()));
    }
  }

  /** Unicode's word characters: letters and what belongs to them, digits, connectors, joiners. */
  private static boolean isWord(int c) {
    return switch (Character.getType(c)) {
      case Character.NON_SPACING_MARK,
          Character.COMBINING_SPACING_MARK,
          Character.ENCLOSING_MARK,
          Character.DECIMAL_DIGIT_NUMBER,
          Character.CONNECTOR_PUNCTUATION ->
          true;
      default -> Character.isAlphabetic(c) || c == 0x200c || c == 0x200d || NEWER_WORDS.get(c);
    };
  }
}
