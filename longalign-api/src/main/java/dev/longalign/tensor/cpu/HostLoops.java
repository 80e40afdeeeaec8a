package dev.longalign.tensor.cpu;

import java.util.stream.LongStream;

/** Java loops over native f32 memory, in chunks that stay in the first-level cache. */
final class HostLoops {
  /**
   * Elements of a chunk; sums are formed chunk by chunk, so the result does not depend on threads.
   */
  static final int CHUNK = 2048;

  private HostLoops() {}

  /** Works on the elements {@code [from, from + count)}. */
  interface Body {
    void run(long from, int count);
  }

  /** A sum over the elements {@code [from, from + count)}. */
  interface Sum {
    double of(long from, int count);
  }

  static void forEach(long size, Body body) {
    LongStream.range(0, (size + CHUNK - 1) / CHUNK)
        .parallel()
        .forEach(c -> body.run(c * CHUNK, (int) Math.min(CHUNK, size - c * CHUNK)));
  }

  static double sum(long size, Sum sum) {
    double[] parts =
        LongStream.range(0, (size + CHUNK - 1) / CHUNK)
            .parallel()
            .mapToDouble(c -> sum.of(c * CHUNK, (int) Math.min(CHUNK, size - c * CHUNK)))
            .toArray();
    double total = 0;
    for (double part : parts) {
      total += part;
    }
    return total;
  }

  static float[] read(long address, long from, int count) {
    float[] values = new float[count];
    HostMemory.read(address + 4 * from, values);
    return values;
  }

  static void write(long address, long from, float[] values) {
    HostMemory.write(address + 4 * from, values);
  }
}
