package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaDriver.check;
import static jcuda.driver.JCudaDriver.cuMemAlloc;
import static jcuda.driver.JCudaDriver.cuMemFree;
import static jcuda.driver.JCudaDriver.cuMemGetInfo;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.MemoryUse;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUresult;

/**
 * Device memory, counted and kept for reuse. Everything runs on one stream, so what is freed may be
 * handed out at once: its last use is enqueued before the next one. A denoising step that asks for
 * the same sizes in the same order gets the same addresses.
 *
 * <p>With {@code -Dlongalign.cuda.cache=false} every block goes back to the driver when it is freed
 * and has exactly the size asked for, so that compute-sanitizer (or the emulator) sees each misuse.
 */
final class CudaMemory {
  private static final long ALIGNMENT = 256;
  private static final long LARGE = 1 << 20;
  private static final long LARGE_UNIT = 64 << 10;

  private final CudaDevice device;
  private final boolean caching;
  private final TreeMap<Long, Deque<Long>> free = new TreeMap<>();
  private final Map<Long, Long> sizes = new HashMap<>();
  private long live;
  private long cached;
  private long peak;

  CudaMemory(CudaDevice device) {
    this(device, !"false".equals(System.getProperty("longalign.cuda.cache")));
  }

  CudaMemory(CudaDevice device, boolean caching) {
    this.device = device;
    this.caching = caching;
  }

  /** At least {@code bytes} bytes, uninitialised, on a multiple of 256. */
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

  /** Gives back what {@link #allocate} returned. Work that uses it may still be enqueued. */
  synchronized void free(long address) {
    long size = sizes.get(address);
    live -= size;
    if (caching) {
      cached += size;
      free.computeIfAbsent(size, s -> new ArrayDeque<>()).push(address);
    } else {
      device.makeCurrent();
      unreserve(address);
    }
  }

  synchronized MemoryUse use() {
    return new MemoryUse(live, peak, cached);
  }

  synchronized void resetPeak() {
    trim();
    peak = live;
  }

  /** Returns what is cached to the driver. */
  synchronized void trim() {
    device.makeCurrent();
    free.values().forEach(blocks -> blocks.forEach(this::unreserve));
    free.clear();
    cached = 0;
  }

  /** Returns everything to the driver, whoever holds it. */
  synchronized void close() {
    trim();
    sizes.keySet().stream().toList().forEach(this::unreserve);
    live = 0;
  }

  private long reserve(long size) {
    device.makeCurrent();
    Block block = new Block();
    int result = cuMemAlloc(block, size);
    if (result == CUresult.CUDA_ERROR_OUT_OF_MEMORY && cached > 0) {
      trim();
      result = cuMemAlloc(block, size);
    }
    if (result == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
      throw outOfMemory(size);
    }
    check(result, "allocating " + size + " bytes on " + device.name());
    sizes.put(block.address(), size);
    return block.address();
  }

  private LongAlignException outOfMemory(long size) {
    long[] unused = new long[1];
    long[] total = new long[1];
    cuMemGetInfo(unused, total);
    return new LongAlignException(
        String.format(
            "out of memory on %s: asked for %d bytes; of %d bytes %d are free, %d are held by open"
                + " scopes here, %d by others; use a smaller picture or batch, BF16, or VAE tiling",
            device.name(),
            size,
            total[0],
            unused[0],
            live,
            Math.max(0, total[0] - unused[0] - live)));
  }

  private void unreserve(long address) {
    sizes.remove(address);
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
