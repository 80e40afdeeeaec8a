package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaDriver.check;
import static jcuda.driver.JCudaDriver.cuLaunchKernel;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import jcuda.driver.CUfunction;

/**
 * One launch of a kernel: its size, then the arguments in the kernel's order, then {@link #run}.
 */
final class Launch {
  /** Of a block, unless {@link #threads} says otherwise. */
  static final int THREADS = 256;

  private static final int MAX_GRID_YZ = 65535;

  /** A kernel as the driver knows it. */
  static final class Function extends CUfunction {
    private long address() {
      return getNativePointer();
    }
  }

  private final CudaDevice device;
  private final String kernel;
  private final Function function;

  /** Of the arguments, one behind the other as C would align them. */
  private byte[] arguments = new byte[256];

  private int used;
  private final List<Integer> offsets = new ArrayList<>();
  private int gridX = 1;
  private int gridY = 1;
  private int gridZ = 1;
  private int threads = THREADS;
  private int shared;

  Launch(CudaDevice device, String kernel, Function function) {
    this.device = device;
    this.kernel = kernel;
    this.function = function;
  }

  Launch grid(long x, long y, long z) {
    gridX = Math.toIntExact(x);
    gridY = Math.toIntExact(y);
    gridZ = Math.toIntExact(z);
    if (y > MAX_GRID_YZ || z > MAX_GRID_YZ) {
      throw new IllegalArgumentException(kernel + ": grid " + x + " x " + y + " x " + z);
    }
    return this;
  }

  /** As many blocks as {@code items} need at one each per thread, up to eight waves. */
  Launch over(long items) {
    long blocks = (items + threads - 1) / threads;
    return grid(Math.max(1, Math.min(blocks, 64L * device.multiprocessors())), 1, 1);
  }

  Launch threads(int count) {
    threads = count;
    return this;
  }

  /** Dynamic shared memory in bytes. */
  Launch shared(int bytes) {
    shared = bytes;
    return this;
  }

  Launch address(long address) {
    return i64(address);
  }

  Launch addresses(long... all) {
    for (long address : all) {
      address(address);
    }
    return this;
  }

  Launch i64(long value) {
    argument(Long.BYTES, Long.BYTES).putLong(value);
    return this;
  }

  Launch i32(int value) {
    argument(Integer.BYTES, Integer.BYTES).putInt(value);
    return this;
  }

  Launch flag(boolean value) {
    return i32(value ? 1 : 0);
  }

  Launch f32(float value) {
    argument(Float.BYTES, Float.BYTES).putFloat(value);
    return this;
  }

  /** A structure passed by value. */
  Launch struct(ByteBuffer bytes) {
    argument(bytes.remaining(), LaunchMemory.ALIGNMENT).put(bytes.duplicate());
    return this;
  }

  private ByteBuffer argument(int bytes, int alignment) {
    int offset = (used + alignment - 1) / alignment * alignment;
    used = offset + bytes;
    if (used > arguments.length) {
      arguments = Arrays.copyOf(arguments, 2 * used);
    }
    offsets.add(offset);
    return ByteBuffer.wrap(arguments, offset, bytes).order(ByteOrder.nativeOrder());
  }

  /** Enqueues the kernel. */
  void run() {
    LaunchMemory memory = LaunchMemory.of(used, offsets.size());
    memory.write(arguments, used, offsets);
    check(
        device.overlapsKernels() ? runEarly(memory) : runInTurn(memory.arguments(offsets)),
        "kernel " + kernel);
  }

  private int runInTurn(jcuda.Pointer[] pointers) {
    return cuLaunchKernel(
        function,
        gridX,
        gridY,
        gridZ,
        threads,
        1,
        1,
        shared,
        device.stream(),
        jcuda.Pointer.to(pointers),
        null);
  }

  /**
   * As a programmatic dependent launch: the kernel's blocks may be on the device before the kernels
   * enqueued earlier are done, and wait there ({@code after_kernels_before}).
   */
  private int runEarly(LaunchMemory memory) {
    int[] size = {gridX, gridY, gridZ, threads, 1, 1, shared};
    return JnaDriver.LAUNCH_KERNEL_EX.invokeInt(
        new Object[] {
          memory.configuration(size, device.streamAddress()),
          new Pointer(function.address()),
          memory.pointers(),
          null
        });
  }

  /** What the driver reads at a launch, in native memory that each thread uses again. */
  private static final class LaunchMemory {
    /** Of structures; no type of CUDA's needs more. */
    static final int ALIGNMENT = 64;

    // CUlaunchConfig: seven numbers, the stream, the attributes, how many
    private static final int STREAM = 32;
    private static final int ATTRIBUTES = 40;
    private static final int COUNT = 48;

    // CUlaunchAttribute: its id and, 8 bytes on, its value, a union of 64 bytes
    private static final int ATTRIBUTE = 64;
    private static final int VALUE = ATTRIBUTE + 8;
    private static final int PROGRAMMATIC_STREAM_SERIALIZATION = 6;

    private static final int POINTERS = 192;

    private static final ThreadLocal<LaunchMemory> OF_THREAD =
        ThreadLocal.withInitial(() -> new LaunchMemory(1024));

    private final int size;
    private final Pointer memory;
    private int begin;

    private LaunchMemory(int size) {
      this.size = size;
      this.memory = new Memory(size + ALIGNMENT).align(ALIGNMENT);
      memory.setInt(ATTRIBUTE, PROGRAMMATIC_STREAM_SERIALIZATION);
      memory.setInt(VALUE, 1);
    }

    static LaunchMemory of(int bytes, int count) {
      int needed = begin(count) + bytes;
      LaunchMemory memory = OF_THREAD.get();
      if (memory.size < needed) {
        memory = new LaunchMemory(2 * needed);
        OF_THREAD.set(memory);
      }
      return memory;
    }

    private static int begin(int count) {
      return (POINTERS + count * Long.BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    void write(byte[] bytes, int count, List<Integer> offsets) {
      begin = begin(offsets.size());
      memory.write(begin, bytes, 0, count);
      for (int i = 0; i < offsets.size(); i++) {
        memory.setLong(POINTERS + (long) i * Long.BYTES, address(offsets.get(i)));
      }
    }

    private long address(int offset) {
      return Pointer.nativeValue(memory) + begin + offset;
    }

    Pointer pointers() {
      return memory.share(POINTERS);
    }

    jcuda.Pointer[] arguments(List<Integer> offsets) {
      return offsets.stream()
          .map(offset -> CudaMemory.pointer(address(offset)))
          .toArray(jcuda.Pointer[]::new);
    }

    Pointer configuration(int[] numbers, long stream) {
      memory.write(0, numbers, 0, numbers.length);
      memory.setLong(STREAM, stream);
      memory.setLong(ATTRIBUTES, Pointer.nativeValue(memory) + ATTRIBUTE);
      memory.setInt(COUNT, 1);
      return memory;
    }
  }
}
