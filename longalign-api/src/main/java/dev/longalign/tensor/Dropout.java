package dev.longalign.tensor;

/**
 * Dropout masks that need no memory: whether an element is kept depends on a key and its position
 * only, on every backend alike, so a backward pass draws the same mask again.
 */
public final class Dropout {
  private static final long STEP = 0x9e3779b97f4a7c15L;

  /** Elements that share 64 random bits. */
  private static final int SHARE = 4;

  private static final int BITS = Long.SIZE / SHARE;
  private static final long ONE = 1L << BITS;

  private Dropout() {}

  /**
   * Whether the element at {@code index} survives dropout with probability {@code p} of a zero,
   * which is rounded to a multiple of 2^-16.
   */
  public static boolean keeps(long key, long index, float p) {
    long bits = bits(key, index / SHARE) >>> index % SHARE * BITS & ONE - 1;
    return bits >= least(p);
  }

  private static long bits(long key, long n) {
    long z = key + (n + 1) * STEP; // splitmix64 (Steele et al. 2014)
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }

  private static int least(float p) {
    return Math.round(p * ONE);
  }

  /**
   * 1 for each element from {@code first} on that {@link #keeps} keeps, else 0.
   *
   * @param first a multiple of 4
   */
  public static void mask(long key, long first, float p, byte[] into) {
    if (first % SHARE != 0) {
      throw new IllegalArgumentException("first is " + first + ", expected a multiple of " + SHARE);
    }
    int least = least(p);
    int words = into.length / SHARE;
    long start = first / SHARE;
    long[] bits = new long[words];
    for (int i = 0; i < words; i++) { // apart from the comparisons: this loop is vectorised
      bits[i] = bits(key, start + i);
    }
    for (int i = 0; i < words; i++) {
      long z = bits[i];
      into[SHARE * i] = kept(z, least);
      into[SHARE * i + 1] = kept(z >>> BITS, least);
      into[SHARE * i + 2] = kept(z >>> 2 * BITS, least);
      into[SHARE * i + 3] = kept(z >>> 3 * BITS, least);
    }
    for (int i = SHARE * words; i < into.length; i++) {
      into[i] = (byte) (keeps(key, first + i, p) ? 1 : 0);
    }
  }

  /** 1 if the lowest bits are at least {@code least}, else 0; a branch would be mispredicted. */
  private static byte kept(long bits, int least) {
    return (byte) (1 + ((int) (bits & ONE - 1) - least >> 31));
  }

  /** A key for the {@code n}-th mask of a seed. */
  public static long key(long seed, long n) {
    long z = (seed ^ 0x6a09e667f3bcc909L) + n * 0xd1342543de82ef95L;
    z = (z ^ (z >>> 32)) * 0xd6e8feb86659fd93L;
    return z ^ (z >>> 32);
  }
}
