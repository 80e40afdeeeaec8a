package dev.longalign.random;

/** Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). */
final class Philox {
  private static final long M0 = 0xd2511f53L;
  private static final long M1 = 0xcd9e8d57L;
  private static final int W0 = 0x9e3779b9;
  private static final int W1 = 0xbb67ae85;
  private static final int ROUNDS = 10;

  private Philox() {}

  /** Four random words for a counter of four words and a key of two. */
  static int[] block(int c0, int c1, int c2, int c3, int k0, int k1) {
    for (int round = 0; round < ROUNDS; round++) {
      long p0 = M0 * Integer.toUnsignedLong(c0);
      long p1 = M1 * Integer.toUnsignedLong(c2);
      c0 = (int) (p1 >>> 32) ^ c1 ^ k0;
      c2 = (int) (p0 >>> 32) ^ c3 ^ k1;
      c1 = (int) p1;
      c3 = (int) p0;
      k0 += W0;
      k1 += W1;
    }
    return new int[] {c0, c1, c2, c3};
  }
}
