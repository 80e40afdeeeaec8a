package dev.longalign.tensor;

/** Found by {@link java.util.ServiceLoader}; opens the backend of one kind of device. */
public interface BackendProvider {

  /** The kind of device, {@code cpu} or {@code cuda}. */
  String kind();

  /** Null if the device can be opened here, else the reason why not and what to do. */
  String whyUnavailable();

  /**
   * @param options thread count and device index
   * @throws dev.longalign.LongAlignException if the device cannot be opened; the message says why
   */
  Backend open(DeviceOptions options);
}
