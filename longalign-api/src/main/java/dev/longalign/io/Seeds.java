package dev.longalign.io;

/** Seeds of generators: 64 bits, which people write as signed or as unsigned numbers. */
public final class Seeds {
  private Seeds() {}

  /**
   * Reads a number from -2^63 to 2^64 - 1; -1 and 2^64 - 1 are the same seed, as for torch.
   *
   * @throws NumberFormatException if it is none
   */
  public static long parse(String text) {
    return text.startsWith("-") ? Long.parseLong(text) : Long.parseUnsignedLong(text);
  }

  /** The number from 0 to 2^64 - 1, as other programs write it; to them -1 means any seed. */
  public static String format(long seed) {
    return Long.toUnsignedString(seed);
  }
}
