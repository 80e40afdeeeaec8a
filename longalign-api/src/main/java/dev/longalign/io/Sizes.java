package dev.longalign.io;

/** Entries of a config that must lie in a range. */
public final class Sizes {
  private Sizes() {}

  public static int atLeast(Config config, String key, int absent, int least) {
    int value = config.getInt(key, absent);
    if (value < least) {
      throw config.refusal(key, "at least " + least);
    }
    return value;
  }

  public static int within(Config config, String key, int absent, int least, int most) {
    int value = config.getInt(key, absent);
    if (value < least || value > most) {
      String range =
          least == 1 ? "a positive number of at most " : "a number from " + least + " to ";
      throw config.refusal(key, range + most);
    }
    return value;
  }

  /** A number that must be there. */
  public static long atLeast(Config config, String key, long least) {
    long value = config.getLong(key);
    if (value < least) {
      throw config.refusal(key, least == 1 ? "a positive number" : "at least " + least);
    }
    return value;
  }

  public static float positive(Config config, String key, float absent) {
    float value = config.getFloat(key, absent);
    if (!(value > 0) || Float.isInfinite(value)) {
      throw config.refusal(key, "a positive number");
    }
    return value;
  }
}
