package dev.longalign.tensor.cpu;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.Pointer;

/** Moves bytes between Java and native addresses. */
final class HostMemory {
  private HostMemory() {}

  static void read(long address, float[] into) {
    new Floats(address, into.length).get(into);
  }

  static void write(long address, float[] values) {
    new Floats(address, values.length).put(values);
  }

  static void write(long address, int[] values) {
    new Ints(address, values.length).put(values);
  }

  /** Copies the buffer's remaining bytes. */
  static void write(long address, ByteBuffer source) {
    ByteBuffer bytes = source.duplicate();
    long length = bytes.remaining();
    if (bytes.isDirect()) {
      copy(new BytePointer(bytes).address(), address, length);
      Reference.reachabilityFence(bytes); // the buffer's memory goes with it
    } else {
      byte[] array = new byte[bytes.remaining()];
      bytes.get(array);
      new Bytes(address, length).put(array);
    }
  }

  static void copy(long from, long to, long bytes) {
    Pointer.memcpy(new Bytes(to, bytes), new Bytes(from, bytes), bytes);
  }

  static void zero(long address, long bytes) {
    Pointer.memset(new Bytes(address, bytes), 0, bytes);
  }

  private static final class Floats extends FloatPointer {
    Floats(long address, long size) {
      super((Pointer) null);
      this.address = address;
      this.capacity = size;
      this.limit = size;
    }
  }

  private static final class Ints extends IntPointer {
    Ints(long address, long size) {
      super((Pointer) null);
      this.address = address;
      this.capacity = size;
      this.limit = size;
    }
  }

  private static final class Bytes extends BytePointer {
    Bytes(long address, long size) {
      super((Pointer) null);
      this.address = address;
      this.capacity = size;
      this.limit = size;
    }
  }
}
