package dev.longalign.tensor;

/**
 * @param index which of several devices of the kind, from 0
 * @param threads CPU threads, or 0 for one per core
 */
public record DeviceOptions(int index, int threads) {
  public static final DeviceOptions DEFAULT = new DeviceOptions(0, 0);

  public DeviceOptions {
    if (index < 0 || threads < 0) {
      throw new IllegalArgumentException(
          "device index and threads must not be negative: " + index + ", " + threads);
    }
  }
}
