package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaDriver.check;
import static jcuda.driver.JCudaDriver.cuMemAlloc;
import static jcuda.driver.JCudaDriver.cuMemFree;
import static jcuda.driver.JCudaDriver.cuMemGetInfo;

import dev.longalign.tensor.MemoryUse;
import dev.longalign.tensor.OutOfMemoryException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ObjLongConsumer;
import java.util.function.Supplier;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUresult;

/**
 * Device memory, counted and kept for reuse. Everything runs on one stream, so what is freed may be
 * handed out at once: its last use is enqueued before the next one. A denoising step that asks for
 * the same sizes in the same order gets the same addresses.
 *
 * <p>What a captured graph computes in stays reserved: between {@link #enterArena} and {@link
 * #leaveArena} blocks come from an arena, which keeps them until no graph holds it. All graphs
 * share it, because they run one after the other and none leaves anything in it.
 *
 * <p>With {@code -Dlongalign.cuda.cache=false} every block goes back to the driver when it is freed
 * and has exactly the size asked for, so that compute-sanitizer (or the emulator) sees each misuse.
 */
final class CudaMemory {
  private static final long ALIGNMENT = 256;
  private static final long LARGE = 1 << 20;
  private static final long LARGE_UNIT = 64 << 10;

  /** Who holds memory. */
  enum Kind {
    WEIGHTS,
    TENSORS,
    GRAPHS
  }

  /** What may be handed out, by size; the last freed first. */
  private static final class Pool {
    private final TreeMap<Long, Deque<Long>> free = new TreeMap<>();
    private long bytes;

    /** The size of the block that {@link #take} would give, or 0. */
    long fitting(long size) {
      Long fit = free.ceilingKey(size);
      return fit != null && fit <= size + size / 4 ? fit : 0;
    }

    long take(long size) {
      Deque<Long> blocks = free.get(size);
      long address = blocks.pop();
      if (blocks.isEmpty()) {
        free.remove(size);
      }
      bytes -= size;
      return address;
    }

    void put(long address, long size) {
      free.computeIfAbsent(size, s -> new ArrayDeque<>()).push(address);
      bytes += size;
    }

    void drainTo(ObjLongConsumer<Long> receiver) {
      free.forEach((size, blocks) -> blocks.forEach(address -> receiver.accept(address, size)));
      free.clear();
      bytes = 0;
    }
  }

  /** A block in use. */
  private record Held(long size, Kind kind) {}

  private final CudaDevice device;
  private final boolean caching;
  private final Pool cached = new Pool();
  private final Pool arena = new Pool();
  private final Map<Long, Held> held = new HashMap<>();
  private final Map<Kind, Long> bytes = new EnumMap<>(Kind.class);
  private int arenaHolders;
  private boolean inArena;
  private long peak;
  private long limit;
  private boolean closed;

  CudaMemory(CudaDevice device) {
    this(device, !"false".equals(System.getProperty("longalign.cuda.cache")));
  }

  CudaMemory(CudaDevice device, boolean caching) {
    this.device = device;
    this.caching = caching;
    for (Kind kind : Kind.values()) {
      bytes.put(kind, 0L);
    }
  }

  /** Scratch memory: at least {@code bytes} bytes, uninitialised, on a multiple of 256. */
  long allocate(long bytes) {
    return allocate(bytes, Kind.TENSORS, () -> "scratch memory");
  }

  /**
   * At least {@code bytes} bytes, uninitialised, on a multiple of 256.
   *
   * @param what they are for, if there are not so many
   */
  synchronized long allocate(long bytes, Kind kind, Supplier<String> what) {
    long size = rounded(bytes);
    Kind holder = inArena ? Kind.GRAPHS : kind;
    long reserved = inArena ? arena.fitting(size) : 0;
    long address;
    if (reserved > 0) {
      size = reserved;
      address = arena.take(size); // counted already
    } else {
      long fitting = cached.fitting(size);
      size = Math.max(size, fitting);
      address = fitting > 0 ? cached.take(size) : reserve(size, what);
      add(holder, size);
      peak = Math.max(peak, live() + cached.bytes);
    }
    held.put(address, new Held(size, holder));
    return address;
  }

  /** Gives back what {@link #allocate} returned. Work that uses it may still be enqueued. */
  synchronized void free(long address) {
    if (closed) {
      return; // all of it went back to the driver
    }
    Held block = held.remove(address);
    if (block.kind == Kind.GRAPHS && arenaHolders > 0) {
      arena.put(address, block.size);
    } else {
      recycle(address, block.size, block.kind);
    }
  }

  private void recycle(long address, long size, Kind kind) {
    add(kind, -size);
    if (caching) {
      cached.put(address, size);
    } else {
      device.makeCurrent();
      unreserve(address);
    }
  }

  private void add(Kind kind, long size) {
    bytes.merge(kind, size, Long::sum);
  }

  private long live() {
    return bytes.values().stream().mapToLong(Long::longValue).sum();
  }

  synchronized MemoryUse use() {
    return new MemoryUse(live(), peak, cached.bytes);
  }

  synchronized void resetPeak() {
    trim();
    peak = live();
  }

  /**
   * @param most that live and cached blocks may take together; 0: what the device has
   */
  synchronized void limit(long most) {
    limit = most;
  }

  /** Returns what is cached to the driver. */
  synchronized void trim() {
    device.makeCurrent();
    cached.drainTo((address, size) -> unreserve(address));
  }

  synchronized boolean isClosed() {
    return closed;
  }

  /** Returns everything to the driver, whoever holds it. */
  synchronized void close() {
    trim();
    arena.drainTo((address, size) -> unreserve(address));
    held.keySet().forEach(this::unreserve);
    held.clear();
    bytes.replaceAll((kind, size) -> 0L);
    closed = true;
  }

  // ---- the arena of captured graphs

  /** Keeps the arena until {@link #releaseArena}. */
  synchronized void holdArena() {
    arenaHolders++;
  }

  /** The last one to do so gives the arena's blocks to everybody. */
  synchronized void releaseArena() {
    arenaHolders--;
    if (arenaHolders == 0 && !closed) {
      arena.drainTo((address, size) -> recycle(address, size, Kind.GRAPHS));
    }
  }

  /** From now on blocks come from the arena; the backend's lock keeps other threads out. */
  synchronized void enterArena() {
    inArena = true;
  }

  synchronized void leaveArena() {
    inArena = false;
  }

  // ---- the driver's memory

  private long reserve(long size, Supplier<String> what) {
    device.makeCurrent();
    if (limit > 0 && live() + cached.bytes + size > limit) {
      trim();
      if (live() + size > limit) {
        throw outOfMemory(size, what.get());
      }
    }
    Block block = new Block();
    int result = cuMemAlloc(block, size);
    if (result == CUresult.CUDA_ERROR_OUT_OF_MEMORY && cached.bytes > 0) {
      trim();
      result = cuMemAlloc(block, size);
    }
    if (result == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
      throw outOfMemory(size, what.get());
    }
    check(result, "allocating " + size + " bytes on " + device.name());
    return block.address();
  }

  /** What the device has to give and what is kept for reuse, and no more than the limit leaves. */
  synchronized long available() {
    long[] unused = new long[1];
    check(cuMemGetInfo(unused, new long[1]), "asking for the memory of " + device.name());
    return Math.min(
        unused[0] + cached.bytes, limit == 0 ? Long.MAX_VALUE : Math.max(0, limit - live()));
  }

  private OutOfMemoryException outOfMemory(long size, String what) {
    long[] unused = new long[1];
    long[] total = new long[1];
    cuMemGetInfo(unused, total);
    long others = Math.max(0, total[0] - unused[0] - live() - cached.bytes);
    return new OutOfMemoryException(
        String.format(
            Locale.ROOT,
            "out of memory on %s: %,d bytes more needed for %s; of %,d bytes %,d are free, %,d are"
                + " held here (weights %,d, tensors %,d, captured steps %,d; %d blocks), %,d by"
                + " others%s; use a smaller picture or batch, BF16, or VAE tiling",
            device.name(),
            size,
            what,
            total[0],
            unused[0],
            live(),
            bytes.get(Kind.WEIGHTS),
            bytes.get(Kind.TENSORS),
            bytes.get(Kind.GRAPHS),
            held.size(),
            others,
            limit == 0
                ? ""
                : String.format(Locale.ROOT, "; the limit here is %,d (maxMemory)", limit)));
  }

  private void unreserve(long address) {
    check(cuMemFree(pointer(address)), "freeing memory of " + device.name());
  }

  private long rounded(long bytes) {
    if (!caching) {
      return Math.max(1, bytes);
    }
    long unit = bytes >= LARGE ? LARGE_UNIT : ALIGNMENT;
    return Math.max(unit, (bytes + unit - 1) / unit * unit);
  }

  /** JCuda's form of an address. */
  static CUdeviceptr pointer(long address) {
    return new CUdeviceptr().withByteOffset(address);
  }

  private static final class Block extends CUdeviceptr {
    long address() {
      return getNativePointer();
    }
  }
}
