package dev.longalign.tensor.cpu;

import static org.bytedeco.dnnl.global.dnnl.dnnl_binary_add;

import dev.longalign.tensor.DType;
import java.util.Arrays;
import java.util.List;

/** What is added to scores so that no query sees the keys after its own place. */
final class CausalMask {
  private CausalMask() {}

  /**
   * The mask f32 [length, length]: 0, and minus infinity right of the diagonal.
   *
   * @return its address, which the caller frees
   */
  static long write(CpuMemory memory, long length) {
    int n = Math.toIntExact(length);
    float[] mask = new float[Math.multiplyExact(n, n)];
    for (int row = 0; row < n; row++) {
      Arrays.fill(mask, row * n + row + 1, (row + 1) * n, Float.NEGATIVE_INFINITY);
    }
    long address = memory.allocate((long) DType.F32.bytes() * mask.length);
    HostMemory.write(address, mask);
    return address;
  }

  /** {@code scores [heads, rows, keys] + mask [1, rows, keys]}, in f32. */
  static Primitive primitive(PrimitiveCache cache, long heads, long rows, long keys) {
    return cache.get(
        List.of("causal mask", heads, rows, keys),
        () -> {
          try (Layout scores = Layout.dense(DType.F32, heads, rows, keys);
              Layout mask = Layout.dense(DType.F32, 1, rows, keys);
              Attributes attributes = new Attributes()) {
            return CpuTraining.binary(dnnl_binary_add, scores, mask, scores, attributes);
          }
        });
  }
}
