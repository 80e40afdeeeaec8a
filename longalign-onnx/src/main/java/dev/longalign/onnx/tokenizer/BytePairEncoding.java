package dev.longalign.onnx.tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.concurrent.ConcurrentHashMap;

/**
 * CLIP's byte-level byte-pair encoding: a word's UTF-8 bytes, the last one marked {@code </w>}, are
 * merged pair by pair, the earliest merge of the list first. The original merges all its
 * occurrences from left to right before it looks for the next one; Hugging Face's fast one looks
 * again after each. Each merge costs the logarithm of the word's length, so a word of any size is
 * fine. Thread-safe.
 */
final class BytePairEncoding {
  static final String END_OF_WORD = "</w>";

  private static final int MAX_CACHED_WORDS = 1 << 14; // about 2 MB
  private static final int MAX_CACHED_LENGTH = 24;

  private record Merge(int rank, int result) {}

  private final Map<Long, Merge> merges;
  private final int[] results; // rank -> symbol
  private final boolean rounds;
  private final Map<String, int[]> words = new ConcurrentHashMap<>();
  private final int[] ids; // symbol -> vocabulary id
  private final int[] inner = new int[256]; // byte -> symbol
  private final int[] last = new int[256]; // byte at the end of a word -> symbol

  /**
   * @param merges pairs of symbols, most important first
   * @param unknownId the id of a symbol that the vocabulary lacks
   * @param rounds whether all occurrences of a pair are merged before the next pair
   */
  BytePairEncoding(
      Map<String, Integer> vocabulary, List<String[]> merges, int unknownId, boolean rounds) {
    this.rounds = rounds;
    Map<String, Integer> symbols = new HashMap<>();
    String[] bytes = byteSymbols();
    for (int b = 0; b < 256; b++) {
      inner[b] = intern(symbols, bytes[b]);
      last[b] = intern(symbols, bytes[b] + END_OF_WORD);
    }
    this.merges = new HashMap<>(merges.size() * 2);
    results = new int[merges.size()];
    for (int rank = 0; rank < merges.size(); rank++) {
      String[] pair = merges.get(rank);
      long key = key(intern(symbols, pair[0]), intern(symbols, pair[1]));
      results[rank] = intern(symbols, pair[0] + pair[1]);
      this.merges.put(key, new Merge(rank, results[rank]));
    }
    ids = new int[symbols.size()];
    symbols.forEach((symbol, index) -> ids[index] = vocabulary.getOrDefault(symbol, unknownId));
  }

  /**
   * GPT-2's printable stand-in for every byte: itself where printable, else the next character from
   * U+0100 on.
   */
  static String[] byteSymbols() {
    String[] symbols = new String[256];
    int next = 256;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      symbols[b] = String.valueOf((char) (printable ? b : next++));
    }
    return symbols;
  }

  /** The ids of one word of at least one character. */
  int[] encode(String word) {
    int[] known = words.get(word);
    if (known != null) {
      return known;
    }
    int[] found = encode(word.getBytes(StandardCharsets.UTF_8));
    if (word.length() <= MAX_CACHED_LENGTH && words.size() < MAX_CACHED_WORDS) {
      words.put(word, found);
    }
    return found;
  }

  private int[] encode(byte[] word) {
    int n = word.length;
    int[] symbol = new int[n];
    int[] previous = new int[n];
    int[] next = new int[n];
    for (int i = 0; i < n; i++) {
      symbol[i] = (i == n - 1 ? last : inner)[word[i] & 0xFF];
      previous[i] = i - 1;
      next[i] = i + 1;
    }
    PriorityQueue<Long> queue = new PriorityQueue<>(); // rank, position
    for (int i = 0; i + 1 < n; i++) {
      offer(queue, i, symbol[i], symbol[i + 1]);
    }
    List<Integer> round = new ArrayList<>();
    while (!queue.isEmpty()) {
      // What one round creates waits for the next: later merges may be listed before the one at
      // work.
      int rank = rank(queue.peek());
      round.clear();
      do {
        round.add((int) (queue.poll() & 0xFFFFFFFFL));
      } while (rounds && !queue.isEmpty() && rank(queue.peek()) == rank);
      for (int at : round) {
        int right = next[at];
        Merge merge =
            symbol[at] < 0 || right >= n ? null : merges.get(key(symbol[at], symbol[right]));
        if (merge == null || (rounds ? merge.rank != rank : merge.result != results[rank])) {
          continue; // a neighbour was merged meanwhile
        }
        symbol[at] = merge.result;
        symbol[right] = -1;
        next[at] = next[right];
        if (next[at] < n) {
          previous[next[at]] = at;
          offer(queue, at, symbol[at], symbol[next[at]]);
        }
        if (previous[at] >= 0) {
          offer(queue, previous[at], symbol[previous[at]], symbol[at]);
        }
      }
    }
    int count = 0;
    int[] out = new int[n];
    for (int i = 0; i < n; i = next[i]) {
      out[count++] = ids[symbol[i]];
    }
    return Arrays.copyOf(out, count);
  }

  private void offer(PriorityQueue<Long> queue, int position, int left, int right) {
    Merge merge = merges.get(key(left, right));
    if (merge != null) {
      queue.add((long) merge.rank << 32 | position);
    }
  }

  private static int rank(long entry) {
    return (int) (entry >>> 32);
  }

  private static long key(int left, int right) {
    return (long) left << 32 | right;
  }

  private static int intern(Map<String, Integer> symbols, String symbol) {
    Integer known = symbols.putIfAbsent(symbol, symbols.size());
    return known == null ? symbols.size() - 1 : known;
  }
}
