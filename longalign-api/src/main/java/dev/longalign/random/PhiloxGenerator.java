package dev.longalign.random;

import dev.longalign.LongAlignException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * PyTorch's CUDA generator (Philox 4x32-10): the numbers of {@code torch.randn(..., device="cuda")}
 * after {@code torch.cuda.manual_seed(seed)}, without a GPU.
 *
 * <p>Torch hands element i to a thread of its launch grid, and the grid's size is limited by the
 * device. Below the limit (221 184 elements on an A100; one 512 x 512 picture has 16 384) every
 * device gives the same numbers; above it they depend on {@link GridLimit}. CUDA's fast log, sine
 * and cosine are less exact than ours: expect differences up to about 1e-6. Not thread-safe.
 */
public final class PhiloxGenerator implements NoiseSource {
  private static final int BLOCK = 256;

  /** Normal numbers that a thread takes from one Philox block. */
  private static final int UNROLL = 4;

  private static final float TWO_POW_MINUS_32 = 0x1p-32f;
  private static final float TWO_PI_POW_MINUS_32 = 0x1p-32f * 6.2831855f;
  private static final int STATE_BYTES = 16;

  /**
   * What bounds a launch grid.
   *
   * @param multiprocessors streaming multiprocessors of the device
   * @param threadsPerMultiprocessor resident threads of each
   */
  public record GridLimit(int multiprocessors, int threadsPerMultiprocessor) {
    public static final GridLimit A100 = new GridLimit(108, 2048);
    public static final GridLimit H100 = new GridLimit(132, 2048);

    public GridLimit {
      if (multiprocessors < 1 || threadsPerMultiprocessor < BLOCK) {
        throw new IllegalArgumentException(
            "not a GPU: " + multiprocessors + " x " + threadsPerMultiprocessor);
      }
    }

    long blocks() {
      return (long) multiprocessors * (threadsPerMultiprocessor / BLOCK);
    }
  }

  private final GridLimit limit;
  private long seed;

  /** Philox numbers used up by each thread so far, a multiple of 4. */
  private long offset;

  public PhiloxGenerator(long seed) {
    this(seed, GridLimit.A100);
  }

  public PhiloxGenerator(long seed, GridLimit limit) {
    this.limit = limit;
    seed(seed);
  }

  @Override
  public void seed(long seed) {
    this.seed = seed;
    this.offset = 0;
  }

  /** As {@code torch.randn(n, device="cuda")}. */
  @Override
  public void randn(float[] into) {
    int size = into.length;
    if (size == 0) {
      return;
    }
    long threads = BLOCK * Math.min(limit.blocks(), (size + BLOCK - 1L) / BLOCK);
    long rounds = (size - 1L) / (threads * UNROLL) + 1;
    float[] four = new float[UNROLL];
    for (long round = 0; round < rounds; round++) {
      long counter = offset / UNROLL + round;
      for (long thread = 0; thread < threads; thread++) {
        long first = round * threads * UNROLL + thread;
        if (first >= size) {
          break;
        }
        normal4(counter, thread, four);
        for (int k = 0; k < UNROLL && first + k * threads < size; k++) {
          into[(int) (first + k * threads)] = four[k];
        }
      }
    }
    offset += rounds * UNROLL;
  }

  private void normal4(long counter, long thread, float[] four) {
    int[] bits =
        Philox.block(
            (int) counter,
            (int) (counter >>> 32),
            (int) thread,
            (int) (thread >>> 32),
            (int) seed,
            (int) (seed >>> 32));
    boxMuller(bits[0], bits[1], four, 0);
    boxMuller(bits[2], bits[3], four, 2);
  }

  /** cuRAND's pair: the sine comes first. */
  private static void boxMuller(int x, int y, float[] out, int at) {
    float u = Math.fma((float) Integer.toUnsignedLong(x), TWO_POW_MINUS_32, TWO_POW_MINUS_32 / 2);
    float v =
        Math.fma((float) Integer.toUnsignedLong(y), TWO_PI_POW_MINUS_32, TWO_PI_POW_MINUS_32 / 2);
    float radius = (float) Math.sqrt(-2 * (float) Math.log(u));
    out[at] = radius * (float) Math.sin(v);
    out[at + 1] = radius * (float) Math.cos(v);
  }

  /** 16 bytes: seed and offset, readable by the CUDA generator's {@code set_state}. */
  @Override
  public byte[] getState() {
    return ByteBuffer.allocate(STATE_BYTES)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(seed)
        .putLong(offset)
        .array();
  }

  @Override
  public void setState(byte[] state) {
    if (state.length != STATE_BYTES) {
      throw new LongAlignException(
          "random state: expected the "
              + STATE_BYTES
              + " bytes of a torch CUDA generator, found "
              + state.length);
    }
    ByteBuffer in = ByteBuffer.wrap(state).order(ByteOrder.LITTLE_ENDIAN);
    long newSeed = in.getLong();
    long newOffset = in.getLong();
    if (newOffset < 0 || newOffset % UNROLL != 0) {
      throw new LongAlignException(
          "random state: expected an offset that is a multiple of 4, found " + newOffset);
    }
    seed = newSeed;
    offset = newOffset;
  }
}
