package dev.longalign.random;

/** MT19937 (Matsumoto and Nishimura, 1998) with the bookkeeping of PyTorch's CPU generator. */
final class MersenneTwister {
  static final int N = 624;
  private static final int M = 397;
  private static final int UPPER = 0x80000000;
  private static final int LOWER = 0x7fffffff;

  final int[] words = new int[N];

  /** Words left before the next twist, plus one; 1 right after seeding. */
  int left = 1;

  /** Index of the next word. */
  int next;

  MersenneTwister(int seed) {
    words[0] = seed;
    for (int j = 1; j < N; j++) {
      words[j] = 1812433253 * (words[j - 1] ^ (words[j - 1] >>> 30)) + j;
    }
  }

  /** The next 32 random bits. */
  int nextInt() {
    if (--left == 0) {
      twist();
    }
    int y = words[next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return y ^ (y >>> 18);
  }

  private void twist() {
    for (int j = 0; j < N; j++) {
      int y = (words[j] & UPPER) | (words[(j + 1) % N] & LOWER);
      words[j] = words[(j + M) % N] ^ (y >>> 1) ^ ((y & 1) != 0 ? 0x9908b0df : 0);
    }
    left = N;
    next = 0;
  }
}
