package dev.longalign.tensor;

import dev.longalign.LongAlignException;
import java.util.ServiceLoader;

/**
 * Where computation happens: {@code Device.cpu()}, {@code Device.cuda(0)} or {@code Device.best()}.
 *
 * @param kind {@code cpu}, {@code cuda} or {@code best}
 * @param index which of several devices of the kind
 */
public record Device(String kind, int index) {
  public static Device cpu() {
    return new Device("cpu", 0);
  }

  public static Device cuda(int index) {
    return new Device("cuda", index);
  }

  /** A GPU if one can be used, else the CPU. */
  public static Device best() {
    return new Device("best", 0);
  }

  /** Parses {@code cpu}, {@code cuda}, {@code cuda:1} or {@code auto}, which is {@link #best}. */
  public static Device parse(String text) {
    String[] parts = text.split(":", 2);
    if (!parts[0].matches("cpu|cuda|auto|best")
        || (parts.length == 2 && !parts[1].matches("\\d{1,3}"))) {
      throw new LongAlignException(
          "device: expected cpu, cuda, cuda:N or auto, found '" + text + "'");
    }
    String kind = parts[0].equals("auto") ? "best" : parts[0];
    return new Device(kind, parts.length == 2 ? Integer.parseInt(parts[1]) : 0);
  }

  /** What {@link #best} is on this machine; every other device is itself. */
  public Device resolved() {
    if (!kind.equals("best")) {
      return this;
    }
    BackendProvider cuda = provider("cuda");
    boolean usable = cuda != null && cuda.whyUnavailable() == null;
    return usable ? new Device("cuda", index) : cpu();
  }

  /**
   * Opens the device; {@code threads} 0 means one per core. Never falls back silently to another
   * kind.
   */
  public Backend open(int threads) {
    if (kind.equals("best")) {
      return resolved().open(threads);
    }
    BackendProvider provider = provider(kind);
    if (provider == null) {
      throw new LongAlignException(
          "device "
              + this
              + ": no backend for it is on the class path; add dev.longalign:longalign-"
              + kind);
    }
    String why = provider.whyUnavailable();
    if (why != null) {
      throw new LongAlignException("device " + this + " cannot be used: " + why);
    }
    return provider.open(new DeviceOptions(index, threads));
  }

  private static BackendProvider provider(String kind) {
    for (BackendProvider provider : ServiceLoader.load(BackendProvider.class)) {
      if (provider.kind().equals(kind)) {
        return provider;
      }
    }
    return null;
  }

  @Override
  public String toString() {
    return index == 0 ? kind : kind + ":" + index;
  }
}
