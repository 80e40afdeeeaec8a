package dev.longalign.data;

import java.util.List;

/**
 * A small stream of random numbers for data: which example comes next, what a generated example
 * shows. Steele, Lea and Flood's SplitMix64 (OOPSLA 2014): the state advances by an odd constant,
 * and each state is hashed. The sequence is part of the format of saved positions and never
 * changes. Not thread-safe, not for noise and not for secrets.
 */
public final class SplitMix64 {
  private static final long GOLDEN = 0x9e3779b97f4a7c15L;

  private long state;

  /** The stream that belongs to the keys, in their order: a seed and an index, say. */
  public SplitMix64(long... keys) {
    long hash = 0;
    for (long key : keys) {
      hash = mix(hash + GOLDEN + mix(key + GOLDEN));
    }
    state = hash;
  }

  /** The hash that the stream consists of (Stafford's thirteenth variant of MurmurHash3's). */
  static long mix(long z) {
    z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
    z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
    return z ^ z >>> 31;
  }

  public long nextLong() {
    state += GOLDEN;
    return mix(state);
  }

  /** Uniform in {@code [0, bound)}: the high half of a product, as Lemire does, without bias. */
  public int nextInt(int bound) {
    if (bound < 1) {
      throw new IllegalArgumentException("the bound must be positive, found " + bound);
    }
    long product = (nextLong() >>> 32) * bound;
    long threshold = (1L << 32) % bound;
    while ((product & 0xffffffffL) < threshold) {
      product = (nextLong() >>> 32) * bound;
    }
    return (int) (product >>> 32);
  }

  /** An index with the probability of its weight; weights are not negative and not all zero. */
  public int nextWeighted(int... weights) {
    int total = 0;
    for (int weight : weights) {
      total = Math.addExact(total, weight);
    }
    int at = nextInt(total);
    for (int i = 0; ; i++) {
      at -= weights[i];
      if (at < 0) {
        return i;
      }
    }
  }

  /** Brings the elements into a random order (Fisher and Yates, from the end). */
  public <T> void shuffle(List<T> elements) {
    for (int i = elements.size() - 1; i > 0; i--) {
      int j = nextInt(i + 1);
      T swapped = elements.get(i);
      elements.set(i, elements.get(j));
      elements.set(j, swapped);
    }
  }
}
