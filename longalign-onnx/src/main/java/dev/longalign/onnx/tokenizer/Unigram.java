package dev.longalign.onnx.tokenizer;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * SentencePiece's unigram model (Kudo 2018, arXiv 1804.10959): the pieces of a word whose scores
 * sum to the most, found by Viterbi. What no piece of one character stands for is unknown and costs
 * the lowest score less 10; unknown neighbours are one token, as Hugging Face's tokenizers has it.
 * Scores are summed in double precision, from left to right. Thread-safe.
 */
final class Unigram {
  private static final double UNKNOWN_PENALTY = 10;

  /** A piece and its log probability. */
  record Piece(String text, double score) {}

  private final List<Piece> pieces;
  private final Map<String, Integer> ids = new HashMap<>();
  private final PieceTrie trie = new PieceTrie();
  private final int unknownId;
  private final double unknownScore;

  /**
   * @param pieces by id, none of them longer than {@link TokenizerFiles#MAX_TOKEN_LENGTH}
   */
  Unigram(List<Piece> pieces, int unknownId) {
    this.pieces = pieces;
    this.unknownId = unknownId;
    double lowest = Double.POSITIVE_INFINITY;
    for (int id = 0; id < pieces.size(); id++) {
      Piece piece = pieces.get(id);
      lowest = Math.min(lowest, piece.score);
      ids.put(piece.text, id);
      if (!piece.text.isEmpty()) {
        trie.put(piece.text, id);
      }
    }
    unknownScore = lowest - UNKNOWN_PENALTY;
  }

  int size() {
    return pieces.size();
  }

  /** The id of a piece, or null. */
  Integer id(String piece) {
    return ids.get(piece);
  }

  String piece(int id) {
    return pieces.get(id).text;
  }

  /** Gives the ids of one word, in order. */
  void encode(String word, IntConsumer to) {
    int n = word.length();
    double[] score = new double[n + 1]; // of the best way to its index
    int[] start = new int[n + 1]; // where that way's last piece begins
    int[] id = new int[n + 1];
    Arrays.fill(start, PieceTrie.NONE);
    for (int at = 0; at < n; ) {
      int next = at + Character.charCount(word.codePointAt(at));
      boolean single = false;
      int node = 0;
      for (int end = at; end < n; ) {
        node = trie.next(node, word.charAt(end++));
        if (node == PieceTrie.NONE) {
          break;
        }
        int piece = trie.value(node);
        if (piece != PieceTrie.NONE) {
          single |= end == next;
          offer(score, start, id, at, end, piece, pieces.get(piece).score);
        }
      }
      if (!single) {
        offer(score, start, id, at, next, unknownId, unknownScore);
      }
      at = next;
    }
    int count = 0; // the way back is written to the end of the ids
    int[] ends = new int[n + 1];
    for (int end = n; end > 0; end = start[end]) {
      ends[count++] = end;
    }
    for (int i = count - 1; i >= 0; i--) {
      int piece = id[ends[i]];
      int from = start[ends[i]];
      if (piece == unknownId) {
        while (i > 0 && id[ends[i - 1]] == unknownId) {
          i--;
        }
        piece = ids.getOrDefault(word.substring(from, ends[i]), unknownId);
      }
      to.accept(piece);
    }
  }

  private static void offer(
      double[] score, int[] start, int[] id, int at, int end, int piece, double pieceScore) {
    double whole = pieceScore + score[at];
    if (start[end] == PieceTrie.NONE || whole > score[end]) {
      score[end] = whole;
      start[end] = at;
      id[end] = piece;
    }
  }
}
