package dev.longalign.onnx.tokenizer;

import java.util.Arrays;

/**
 * A set of strings, each with a number, walked character by character: nodes are numbered from the
 * root, 0, and the edges lie in one open-addressed table.
 */
final class PieceTrie {
  static final int NONE = -1;

  private long[] edges = new long[1 << 10]; // (node, character) + 1; 0 is a free place
  private int[] targets = new int[edges.length];
  private int[] values = {NONE};
  private int nodes = 1;

  /** Adds a string that is not empty; a later value replaces an earlier one. */
  void put(String piece, int value) {
    int node = 0;
    for (int i = 0; i < piece.length(); i++) {
      int next = next(node, piece.charAt(i));
      node = next == NONE ? add(node, piece.charAt(i)) : next;
    }
    values[node] = value;
  }

  /** The node that the character leads to, or {@link #NONE}. */
  int next(int node, char c) {
    return targets[place(edges, edge(node, c))] - 1;
  }

  /** The number of the string that ends at a node, or {@link #NONE}. */
  int value(int node) {
    return values[node];
  }

  private int add(int node, char c) {
    if (2 * nodes >= edges.length) {
      grow();
    }
    if (nodes == values.length) {
      values = Arrays.copyOf(values, 2 * nodes);
    }
    int place = place(edges, edge(node, c));
    edges[place] = edge(node, c);
    targets[place] = nodes + 1;
    values[nodes] = NONE;
    return nodes++;
  }

  private void grow() {
    long[] larger = new long[2 * edges.length];
    int[] moved = new int[larger.length];
    for (int i = 0; i < edges.length; i++) {
      if (edges[i] != 0) {
        int place = place(larger, edges[i]);
        larger[place] = edges[i];
        moved[place] = targets[i];
      }
    }
    edges = larger;
    targets = moved;
  }

  private static long edge(int node, char c) {
    return ((long) node << 16 | c) + 1;
  }

  private static int place(long[] edges, long edge) {
    int place = (int) (edge * 0x9E3779B97F4A7C15L >>> 32) & edges.length - 1;
    while (edges[place] != 0 && edges[place] != edge) {
      place = place + 1 & edges.length - 1;
    }
    return place;
  }
}
