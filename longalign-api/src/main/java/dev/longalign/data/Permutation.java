package dev.longalign.data;

/**
 * The order of an epoch: a permutation of {@code [0, size)} that is computed index by index, so
 * that no table is held and training resumes anywhere at no cost.
 *
 * <p>It is a Feistel network of {@value #ROUNDS} rounds over the smallest even number of bits that
 * holds the size; a result beyond the size goes through it again until it falls inside
 * (cycle-walking, Black and Rogaway 2002). The round function is {@link SplitMix64}'s hash of the
 * half plus a round key; the keys are the stream of (seed, epoch). Saved positions refer to this
 * order, so it never changes.
 */
final class Permutation {
  private static final int ROUNDS = 8;

  private final long size;
  private final int halfBits;
  private final long halfMask;
  private final long[] keys = new long[ROUNDS];

  Permutation(long size, long seed, long epoch) {
    if (size < 1) {
      throw new IllegalArgumentException("nothing to permute: size " + size);
    }
    this.size = size;
    int bits = 64 - Long.numberOfLeadingZeros(size - 1);
    this.halfBits = Math.max(1, (bits + 1) / 2);
    this.halfMask = (1L << halfBits) - 1;
    SplitMix64 stream = new SplitMix64(seed, epoch);
    for (int round = 0; round < ROUNDS; round++) {
      keys[round] = stream.nextLong();
    }
  }

  /** Which example is the index-th of the epoch. */
  long at(long index) {
    if (index < 0 || index >= size) {
      throw new IndexOutOfBoundsException(index + " of " + size);
    }
    long value = index;
    do {
      value = encrypt(value);
    } while (value >= size);
    return value;
  }

  private long encrypt(long value) {
    long left = value >>> halfBits;
    long right = value & halfMask;
    for (long key : keys) {
      long mixed = left ^ SplitMix64.mix(right + key) & halfMask;
      left = right;
      right = mixed;
    }
    return left << halfBits | right;
  }
}
