package dev.longalign.onnx.graph;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * A checkpoint's tensor, little-endian and row-major: either where its bytes lie in a file, to be read in place, or, for
 * files in which they cannot be addressed, the bytes themselves.
 *
 * @param file the checkpoint's file; also named in errors
 * @param dtype element type as stored
 * @param shape extents as stored
 * @param offset of the first byte from the beginning of the file; meaningless if {@code bytes} is not null
 * @param bytes a direct buffer with the values, or null if they are read in place
 */
public record StoredWeight(Path file, DType dtype, Shape shape, long offset, ByteBuffer bytes) {

  public StoredWeight {
    if (bytes != null && (!bytes.isDirect() || bytes.remaining() != shape.size() * dtype.bytes())) {
      throw new IllegalArgumentException(
          "need a direct buffer of " + shape.size() * dtype.bytes() + " bytes for " + dtype + shape);
    }
  }

  /** Size in bytes. */
  public long length() {
    return shape.size() * dtype.bytes();
  }
}
