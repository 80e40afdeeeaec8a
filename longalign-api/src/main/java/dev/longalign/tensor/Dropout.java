package dev.longalign.tensor;

import java.util.stream.IntStream;

/**
 * Dropout masks that need no memory: whether an element is kept depends on a key and its position
 * only, on every backend alike, so a backward pass draws the same mask again.
 */
public final class Dropout {
  /** How many elements {@link #mask} can do at once. */
  private static final int CHUNK = 2048;

  /** A loop's index as values: loops over them are vectorised, loops over the index are not. */
  private static final int[] INDICES = IntStream.range(0, CHUNK).toArray();

  private static final int BITS = 24;

  private Dropout() {}

  /**
   * Whether the element at {@code index} survives dropout with probability {@code p} of a zero,
   * which is rounded to a multiple of 2^-24.
   */
  public static boolean keeps(long key, long index, float p) {
    return bits((int) index, low(key, index), high(key)) >= threshold(p);
  }

  /** The hash of an index below 2^32, with the rest of the index in {@code low}. */
  private static int bits(int index, int low, int high) {
    int z = index * 0x9e3779b9 + low;
    z = (z ^ (z >>> 16)) * 0x21f0aaad ^ high; // lowbias32 (Wellons 2018), keyed
    z = (z ^ (z >>> 15)) * 0xd35a2d97;
    return (z ^ (z >>> 15)) >>> Integer.SIZE - BITS;
  }

  private static int low(long key, long index) {
    return (int) key + (int) (index >>> Integer.SIZE) * 0x85ebca6b;
  }

  private static int high(long key) {
    return (int) (key >>> Integer.SIZE);
  }

  /** What the hash of an element must reach for it to be kept: {@code p} in units of 2^-24. */
  public static int threshold(float p) {
    return Math.round(p * (1 << BITS));
  }

  /**
   * For each element from {@code first} on the bits of the float {@code 1 / (1 - p)} where {@link
   * #keeps} says so, else those of 0.
   *
   * @param into at most 2048 elements, of which no two are 2^32 apart
   */
  public static void mask(long key, long first, float p, int[] into) {
    int from = (int) first;
    int low = low(key, first);
    int high = high(key);
    int least = threshold(p);
    int kept = Float.floatToRawIntBits(1 / (1 - p));
    for (int i = 0; i < into.length; i++) {
      into[i] = kept & ~(bits(INDICES[i] + from, low, high) - least >> Integer.SIZE - 1);
    }
  }

  /** A key for the {@code n}-th mask of a seed. */
  public static long key(long seed, long n) {
    long z = (seed ^ 0x6a09e667f3bcc909L) + n * 0xd1342543de82ef95L;
    z = (z ^ (z >>> 32)) * 0xd6e8feb86659fd93L;
    return z ^ (z >>> 32);
  }
}
