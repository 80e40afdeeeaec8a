package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaDriver.check;
import static jcuda.driver.JCudaDriver.cuMemAllocHost;
import static jcuda.driver.JCudaDriver.cuMemFreeHost;
import static jcuda.driver.JCudaDriver.cuMemcpyDtoDAsync;
import static jcuda.driver.JCudaDriver.cuMemcpyDtoHAsync;
import static jcuda.driver.JCudaDriver.cuMemcpyHtoDAsync;
import static jcuda.driver.JCudaDriver.cuMemsetD8Async;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import jcuda.Pointer;

/** Copies between host and device through a pinned buffer, in the order of the stream. */
final class Transfers implements AutoCloseable {
  private static final int BUFFER = 8 << 20;

  private final CudaDevice device;
  private final OperationLog log;
  private final Pointer pinned = new Pointer();
  private final ByteBuffer buffer;

  /** Of the buffer, by copies that may be under way. */
  private int used;

  Transfers(CudaDevice device, OperationLog log) {
    this.device = device;
    this.log = log;
    check(cuMemAllocHost(pinned, BUFFER), "allocating " + BUFFER + " bytes of pinned host memory");
    this.buffer = pinned.getByteBuffer(0, BUFFER).order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * Copies what remains of {@code bytes}, whose position stays. Waits for the device only when the
   * pinned buffer is full: copies that are under way keep their part of it.
   */
  void upload(ByteBuffer bytes, long address) {
    ByteBuffer from = bytes.duplicate();
    while (from.hasRemaining()) {
      if (used == BUFFER
          || log.isRecording()) { // a graph would copy what is there when it runs: refused
        device.synchronize();
        used = 0;
      }
      int length = Math.min(BUFFER - used, from.remaining());
      buffer.clear().position(used).put(from.slice().limit(length));
      check(
          cuMemcpyHtoDAsync(
              CudaMemory.pointer(address), pinned.withByteOffset(used), length, device.stream()),
          "copying " + length + " bytes to " + device.name());
      used += length;
      from.position(from.position() + length);
      address += length;
    }
  }

  void download(long address, float[] into) {
    int floats = BUFFER / Float.BYTES;
    for (int from = 0; from < into.length; from += floats) {
      int count = Math.min(floats, into.length - from);
      long bytes = (long) count * Float.BYTES;
      check(
          cuMemcpyDtoHAsync(
              pinned,
              CudaMemory.pointer(address + (long) from * Float.BYTES),
              bytes,
              device.stream()),
          "copying " + bytes + " bytes from " + device.name());
      device.synchronize();
      used = 0;
      buffer.clear();
      buffer.asFloatBuffer().get(into, from, count);
    }
  }

  /** One f64. */
  double download(long address) {
    check(
        cuMemcpyDtoHAsync(pinned, CudaMemory.pointer(address), Double.BYTES, device.stream()),
        "copying a number from " + device.name());
    device.synchronize();
    used = 0;
    return buffer.getDouble(0);
  }

  /** On the device. */
  void copy(long from, long to, long bytes) {
    if (bytes > 0) {
      check(
          cuMemcpyDtoDAsync(
              CudaMemory.pointer(to), CudaMemory.pointer(from), bytes, device.stream()),
          "copying " + bytes + " bytes on " + device.name());
    }
  }

  void zero(long address, long bytes) {
    if (bytes > 0) {
      check(
          cuMemsetD8Async(CudaMemory.pointer(address), (byte) 0, bytes, device.stream()),
          "clearing " + bytes + " bytes");
    }
  }

  @Override
  public void close() {
    cuMemFreeHost(pinned);
  }
}
