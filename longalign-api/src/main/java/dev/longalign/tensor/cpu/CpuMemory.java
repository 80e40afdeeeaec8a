package dev.longalign.tensor.cpu;

import com.sun.jna.Function;
import com.sun.jna.Platform;
import dev.longalign.host.ProcessSettings;
import dev.longalign.tensor.MemoryUse;
import dev.longalign.tensor.OutOfMemoryException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.bytedeco.javacpp.Pointer;

/**
 * Native memory, counted, aligned to cache lines, and kept for reuse: a denoising step asks for the
 * same sizes again and again, and fresh pages cost more than the arithmetic on them.
 */
final class CpuMemory {
  private static final long ALIGNMENT = 64;
  private static final long PAGE = 4096;
  private static final long LARGE = 1 << 20;
  private static final long HUGE_PAGE = 2 << 20;
  private static final int MADV_HUGEPAGE = 14;
  private static final Function MADVISE =
      Platform.isLinux() ? ProcessSettings.libc("madvise").orElse(null) : null;

  private final TreeMap<Long, Deque<Long>> free = new TreeMap<>();

  /** Aligned address -> the address that malloc gave. */
  private final Map<Long, Long> blocks = new HashMap<>();

  private final Map<Long, Long> sizes = new HashMap<>();
  private long live;
  private long cached;
  private long peak;
  private long limit;
  private Thread bounded;
  private long bound;
  private boolean closed;

  /**
   * At least {@code bytes} bytes, uninitialised; what is larger than a megabyte starts on a page.
   */
  synchronized long allocate(long bytes) {
    long size = rounded(bytes);
    Map.Entry<Long, Deque<Long>> fit = free.ceilingEntry(size);
    long address;
    if (fit != null && fit.getKey() <= size + size / 4) {
      address = fit.getValue().pop();
      size = fit.getKey();
      if (fit.getValue().isEmpty()) {
        free.remove(size);
      }
      cached -= size;
    } else {
      address = reserve(size);
    }
    live += size;
    peak = Math.max(peak, live + cached);
    return address;
  }

  /** Gives back what {@link #allocate} returned. */
  synchronized void free(long address) {
    if (closed) {
      discard(address);
      return;
    }
    long size = sizeOf(address);
    live -= size;
    cached += size;
    free.computeIfAbsent(size, s -> new ArrayDeque<>()).push(address);
  }

  /** Gives back memory that will not be wanted again soon, to the operating system. */
  synchronized void discard(long address) {
    long size = sizeOf(address);
    live -= size;
    unreserve(address);
  }

  synchronized MemoryUse use() {
    return new MemoryUse(live, peak, cached);
  }

  synchronized void resetPeak() {
    trim();
    peak = live;
  }

  /**
   * @param bytes that live and cached blocks may take together; 0: no limit
   */
  synchronized void limit(long bytes) {
    limit = bytes;
  }

  /** Returns all cached blocks to the operating system. */
  synchronized void trim() {
    for (Deque<Long> addresses : free.values()) {
      for (long address : addresses) {
        unreserve(address);
      }
    }
    free.clear();
    cached = 0;
  }

  /** Keeps nothing any more: what is still held goes to the operating system when it is freed. */
  synchronized void close() {
    closed = true;
    trim();
  }

  private long sizeOf(long address) {
    return sizes.get(address);
  }

  /** What the system has to give, what is kept for reuse, and no more than the limit leaves. */
  long available() {
    long system = FreeMemory.bytes();
    synchronized (this) {
      return Math.min(system + cached, limit == 0 ? Long.MAX_VALUE : Math.max(0, limit - live));
    }
  }

  /** Runs work on this thread, to which {@link #available} is a limit meanwhile. */
  <T> T withinAvailable(Supplier<T> work) {
    long most = available();
    synchronized (this) {
      bounded = Thread.currentThread();
      bound = live + most;
    }
    try {
      return work.get();
    } finally {
      synchronized (this) {
        bounded = null;
      }
    }
  }

  private long reserve(long size) {
    if (Thread.currentThread() == bounded && live + cached + size > bound) {
      trim();
      if (live + size > bound) {
        throw new OutOfMemoryException(
            String.format(
                Locale.ROOT,
                "out of memory: asked for %,d bytes, found %,d free; use a smaller picture or"
                    + " batch, BF16, or VAE tiling",
                size,
                Math.max(0, bound - live)));
      }
    }
    if (limit > 0 && live + cached + size > limit) {
      trim();
      if (live + size > limit) {
        throw new OutOfMemoryException(
            String.format(
                Locale.ROOT,
                "out of memory: expected at most %,d bytes (the limit), found %,d in use and %,d"
                    + " more needed; compute activations again instead of keeping them"
                    + " (checkpointing), use a smaller batch with more accumulation, a smaller"
                    + " resolution or bf16, or raise the limit (maxMemory)",
                limit,
                live,
                size));
      }
    }
    long alignment = size >= LARGE ? PAGE : ALIGNMENT;
    Pointer block = Pointer.malloc(size + alignment);
    if (block == null || block.isNull()) {
      trim();
      block = Pointer.malloc(size + alignment);
    }
    if (block == null || block.isNull()) {
      throw new OutOfMemoryException(
          "out of memory: asked for "
              + size
              + " bytes, "
              + live
              + " bytes are held by open scopes; use a smaller picture or batch, BF16, or VAE tiling");
    }
    long address = (block.address() + alignment - 1) / alignment * alignment;
    blocks.put(address, block.address());
    sizes.put(address, size);
    if (size >= HUGE_PAGE) {
      askForHugePages(address, size);
    }
    return address;
  }

  /**
   * Two-megabyte pages where the kernel gives them on request: convolutions walk through hundreds
   * of megabytes, and every miss of the address cache costs. A refusal is no error.
   */
  private static void askForHugePages(long address, long size) {
    long start = (address + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    long end = (address + size) / HUGE_PAGE * HUGE_PAGE;
    if (MADVISE != null && end > start) {
      MADVISE.invokeInt(new Object[] {new com.sun.jna.Pointer(start), end - start, MADV_HUGEPAGE});
    }
  }

  private void unreserve(long address) {
    sizes.remove(address);
    Pointer.free(new Block(blocks.remove(address)));
  }

  private static long rounded(long bytes) {
    long unit = bytes >= LARGE ? PAGE : ALIGNMENT;
    return Math.max(unit, (bytes + unit - 1) / unit * unit);
  }

  private static final class Block extends Pointer {
    Block(long address) {
      this.address = address;
    }
  }
}
