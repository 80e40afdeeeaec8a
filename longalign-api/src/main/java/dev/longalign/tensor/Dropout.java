package dev.longalign.tensor;

/**
 * Dropout masks that need no memory: whether an element is kept depends on a key and its position
 * only, on every backend alike, so a backward pass draws the same mask again.
 */
public final class Dropout {
  private static final long STEP = 0x9e3779b97f4a7c15L;

  private Dropout() {}

  /** Whether the element at {@code index} survives dropout with probability {@code p} of a zero. */
  public static boolean keeps(long key, long index, float p) {
    long z = key + (index + 1) * STEP; // splitmix64 (Steele et al. 2014)
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    z ^= z >>> 31;
    return (z >>> 40) * 0x1p-24f >= p;
  }

  /**
   * Replaces {@code values}, the elements from {@code first} on, by {@code value / (1 - p)} where
   * {@link #keeps} says so, and by 0 elsewhere.
   */
  public static void apply(long key, long first, float p, float[] values) {
    long[] bits = new long[values.length];
    for (int i = 0; i < bits.length; i++) { // apart from the comparison: this loop is vectorised
      long z = key + (first + i + 1) * STEP;
      z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
      z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
      bits[i] = (z ^ (z >>> 31)) >>> 40;
    }
    long least = (long) Math.ceil(p * 0x1p24);
    float kept = 1 / (1 - p);
    for (int i = 0; i < values.length; i++) {
      values[i] *= bits[i] >= least ? kept : 0;
    }
  }

  /** A key for the {@code n}-th mask of a seed. */
  public static long key(long seed, long n) {
    long z = (seed ^ 0x6a09e667f3bcc909L) + n * 0xd1342543de82ef95L;
    z = (z ^ (z >>> 32)) * 0xd6e8feb86659fd93L;
    return z ^ (z >>> 32);
  }
}
