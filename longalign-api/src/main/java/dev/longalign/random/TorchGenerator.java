package dev.longalign.random;

import dev.longalign.LongAlignException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * PyTorch's CPU generator (MT19937): the numbers of {@code torch.Generator().manual_seed(seed)}.
 *
 * <pre>{@code
 * float[] noise = new TorchGenerator(42).randn(4 * 64 * 64);   // torch.randn(1, 4, 64, 64, generator=g)
 * }</pre>
 *
 * {@link #randn}, {@link #rand}, {@link #randint} and {@link #randperm} equal torch 2.x on x86-64
 * with AVX2 bit by bit; other builds of torch differ from this one by their log, sine and cosine,
 * at most a few units in the last place. Not thread-safe.
 */
public final class TorchGenerator implements NoiseSource {
  /** From this many elements on, torch transforms blocks of 16 instead of single pairs. */
  private static final int BLOCK = 16;

  private static final float TWO_PI = (float) (2 * Math.PI);
  private static final int STATE_BYTES = 5056;

  private MersenneTwister engine;
  private long initialSeed;

  /** The second half of the last pair of {@link #nextNormal}, or null. */
  private Double cachedNormal;

  public TorchGenerator(long seed) {
    seed(seed);
  }

  @Override
  public void seed(long seed) {
    initialSeed = seed;
    engine = new MersenneTwister((int) seed);
    cachedNormal = null;
  }

  /** As {@code torch.randn(n, dtype=float32)}. */
  @Override
  public void randn(float[] into) {
    int size = into.length;
    if (size < BLOCK) {
      for (int i = 0; i < size; i++) {
        into[i] = (float) nextNormal();
      }
      return;
    }
    for (int i = 0; i < size; i++) {
      into[i] = nextUniform();
    }
    for (int from = 0; from + BLOCK <= size; from += BLOCK) {
      boxMuller(into, from);
    }
    if (size % BLOCK != 0) {
      // The last 16 values are drawn again, also those of them that were already normal.
      int from = size - BLOCK;
      for (int i = from; i < size; i++) {
        into[i] = nextUniform();
      }
      boxMuller(into, from);
    }
  }

  private static void boxMuller(float[] values, int from) {
    for (int j = from; j < from + BLOCK / 2; j++) {
      float radius = (float) Math.sqrt(-2 * CephesFloat.log(1 - values[j]));
      float theta = TWO_PI * values[j + BLOCK / 2];
      values[j] = radius * CephesFloat.cos(theta);
      values[j + BLOCK / 2] = radius * CephesFloat.sin(theta);
    }
  }

  private double nextNormal() {
    if (cachedNormal != null) {
      double normal = cachedNormal;
      cachedNormal = null;
      return normal;
    }
    double u1 = nextUniformDouble();
    double u2 = nextUniformDouble();
    double radius = Math.sqrt(-2 * Math.log1p(-u2));
    double theta = 2 * Math.PI * u1;
    cachedNormal = radius * Math.sin(theta);
    return radius * Math.cos(theta);
  }

  /** As {@code torch.rand(size, dtype=float32)}: uniform in [0, 1). */
  public float[] rand(int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = nextUniform();
    }
    return values;
  }

  /** As {@code torch.randint(low, high, (size,))}: uniform in [low, high). */
  public long[] randint(long low, long high, int size) {
    if (low >= high) {
      throw new LongAlignException(
          "randint: expected low < high, found [" + low + ", " + high + ")");
    }
    long range = high - low;
    // Torch takes 64 bits where the remainder of 32 would be noticeably skewed.
    boolean wide = Long.compareUnsigned(range, 1L << 28) >= 0;
    long[] values = new long[size];
    for (int i = 0; i < size; i++) {
      long bits = wide ? nextLong() : Integer.toUnsignedLong(engine.nextInt());
      values[i] = low + Long.remainderUnsigned(bits, range);
    }
    return values;
  }

  /** As {@code torch.randperm(n)}: the numbers 0..n-1 in random order. */
  public int[] randperm(int n) {
    int[] order = new int[n];
    Arrays.setAll(order, i -> i);
    boolean wide = n >= 0xffffffffL / 20;
    for (int i = 0; i < n - 1; i++) {
      long bits = wide ? nextLong() : Integer.toUnsignedLong(engine.nextInt());
      int j = i + (int) Long.remainderUnsigned(bits, n - i);
      int swapped = order[i];
      order[i] = order[j];
      order[j] = swapped;
    }
    return order;
  }

  private float nextUniform() {
    return (engine.nextInt() & 0xffffff) * 0x1p-24f;
  }

  private double nextUniformDouble() {
    return (nextLong() & 0x1fffffffffffffL) * 0x1p-53;
  }

  private long nextLong() {
    long high = engine.nextInt();
    return (high << 32) | Integer.toUnsignedLong(engine.nextInt());
  }

  /** 5056 bytes, readable by {@code torch.Generator.set_state}. */
  @Override
  public byte[] getState() {
    ByteBuffer out = ByteBuffer.allocate(STATE_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    out.putLong(initialSeed).putInt(engine.left).putInt(1).putLong(engine.next);
    for (int word : engine.words) {
      out.putLong(Integer.toUnsignedLong(word));
    }
    out.putDouble(0).putDouble(cachedNormal == null ? 0 : cachedNormal).putDouble(0);
    out.putInt(cachedNormal == null ? 0 : 1);
    return out.array();
  }

  @Override
  public void setState(byte[] state) {
    if (state.length != STATE_BYTES) {
      throw new LongAlignException(
          "random state: expected the "
              + STATE_BYTES
              + " bytes of a torch CPU generator, found "
              + state.length);
    }
    ByteBuffer in = ByteBuffer.wrap(state).order(ByteOrder.LITTLE_ENDIAN);
    long seed = in.getLong();
    int left = in.getInt();
    int seeded = in.getInt();
    long next = in.getLong();
    if (seeded != 1
        || left < 1
        || left > MersenneTwister.N
        || next < 0
        || next > MersenneTwister.N
        || next + left > MersenneTwister.N + 1) {
      throw new LongAlignException(
          "random state: not a torch CPU generator's (seeded "
              + seeded
              + ", left "
              + left
              + ", next "
              + next
              + ")");
    }
    MersenneTwister restored = new MersenneTwister(0);
    restored.left = left;
    restored.next = (int) next;
    for (int i = 0; i < MersenneTwister.N; i++) {
      restored.words[i] = (int) in.getLong();
    }
    in.getDouble();
    double normal = in.getDouble();
    in.getDouble();
    cachedNormal = in.getInt() == 0 ? null : normal;
    engine = restored;
    initialSeed = seed;
  }
}
