package dev.longalign.io;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * One tensor of a file: its name, type and shape, and its bytes (row-major, little-endian), which
 * are fetched only when asked for. Immutable and thread-safe.
 *
 * <pre>{@code
 * try (TensorFile file = TensorFiles.open(path)) {
 *   float[] weight = file.tensor("conv_in.weight").toFloats();
 * }
 * }</pre>
 */
public final class StoredTensor {
  private final String name;
  private final DType dtype;
  private final Shape shape;
  private final String source;
  private final FileRegion region;
  private final Supplier<ByteBuffer> bytes;

  private StoredTensor(
      String name,
      DType dtype,
      Shape shape,
      String source,
      FileRegion region,
      Supplier<ByteBuffer> bytes) {
    this.name = Objects.requireNonNull(name, "name");
    this.dtype = Objects.requireNonNull(dtype, "dtype");
    this.shape = Objects.requireNonNull(shape, "shape");
    this.source = Objects.requireNonNull(source, "source");
    this.region = region;
    this.bytes = bytes;
  }

  /**
   * A tensor over bytes in memory: exactly {@code shape.size() * dtype.bytes()} from position to
   * limit.
   */
  public static StoredTensor of(String name, DType dtype, Shape shape, ByteBuffer data) {
    ByteBuffer view = data.asReadOnlyBuffer().slice();
    StoredTensor tensor = new StoredTensor(name, dtype, shape, "memory", null, () -> view);
    tensor.data();
    return tensor;
  }

  /**
   * Row-major numbers, stored as {@code dtype}: F32, F16, BF16 (rounded to nearest even) or F64.
   */
  public static StoredTensor ofFloats(String name, DType dtype, Shape shape, float[] values) {
    if (values.length != shape.size()) {
      throw new LongAlignException(
          "tensor '"
              + name
              + "': shape "
              + shape
              + " has "
              + shape.size()
              + " elements, given "
              + values.length);
    }
    return of(name, dtype, shape, TensorValues.encode(name, dtype, values));
  }

  /**
   * A tensor whose bytes come from elsewhere (a device, say) when a writer reaches it.
   *
   * @param bytes called at every {@link #data()}
   */
  public static StoredTensor lazy(
      String name, DType dtype, Shape shape, String source, Supplier<ByteBuffer> bytes) {
    return new StoredTensor(name, dtype, shape, source, null, bytes);
  }

  static StoredTensor inFile(
      String name,
      DType dtype,
      Shape shape,
      String source,
      FileRegion region,
      Supplier<ByteBuffer> bytes) {
    return new StoredTensor(name, dtype, shape, source, region, bytes);
  }

  /** The same tensor under another name. */
  public StoredTensor named(String newName) {
    return new StoredTensor(newName, dtype, shape, source, region, bytes);
  }

  /** The same numbers in the same order, in another shape of the same size. */
  public StoredTensor reshaped(Shape newShape) {
    if (newShape.size() != shape.size()) {
      throw new LongAlignException(this + " has no shape " + newShape);
    }
    return new StoredTensor(name, dtype, newShape, source, region, bytes);
  }

  /** The part [from, to) along the first axis, where it lies. */
  public StoredTensor rows(long from, long to) {
    if (shape.rank() < 1 || from < 0 || from > to || to > shape.dim(0)) {
      throw new LongAlignException(this + ": no rows [" + from + ", " + to + ")");
    }
    long row = shape.dim(0) == 0 ? 0 : byteSize() / shape.dim(0);
    FileRegion part =
        region == null
            ? null
            : new FileRegion(region.file(), region.offset() + from * row, (to - from) * row);
    Supplier<ByteBuffer> slice =
        () -> data().slice(Math.toIntExact(from * row), Math.toIntExact((to - from) * row));
    return new StoredTensor(name, dtype, shape.with(0, to - from), source, part, slice);
  }

  public String name() {
    return name;
  }

  public DType dtype() {
    return dtype;
  }

  public Shape shape() {
    return shape;
  }

  /** The file, as messages show it. */
  public String source() {
    return source;
  }

  public long byteSize() {
    return Math.multiplyExact(shape.size(), (long) dtype.bytes());
  }

  /** Where the bytes lie, if they lie in a file contiguously and uncompressed. */
  public Optional<FileRegion> region() {
    return Optional.ofNullable(region);
  }

  /** The bytes: read-only, little-endian, contiguous, position 0; a new view at every call. */
  public ByteBuffer data() {
    if (byteSize() > Integer.MAX_VALUE) {
      throw new LongAlignException(
          this
              + ": "
              + byteSize()
              + " bytes; one tensor may hold at most "
              + Integer.MAX_VALUE
              + " bytes");
    }
    ByteBuffer data = bytes.get();
    if (data.remaining() != byteSize()) {
      throw new LongAlignException(
          this + ": expected " + byteSize() + " bytes, got " + data.remaining());
    }
    return data.asReadOnlyBuffer().slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Row-major values as f32; integers and f64 are rounded to the nearest, booleans are 0 and 1. */
  public float[] toFloats() {
    return TensorValues.floats(this);
  }

  /** Row-major values as f64; exact for every type but 64-bit integers above 2^53. */
  public double[] toDoubles() {
    return TensorValues.doubles(this);
  }

  /**
   * Row-major values of an integer or boolean tensor (u64 as its two's complement); refuses
   * floating types.
   */
  public long[] toLongs() {
    return TensorValues.longs(this);
  }

  /** This tensor, if it has the expected shape. */
  public StoredTensor expect(Shape expected) {
    if (!shape.equals(expected)) {
      throw new LongAlignException(
          name + " in " + source + ": expected " + expected + ", found " + shape);
    }
    return this;
  }

  @Override
  public String toString() {
    return name + " in " + source + " (" + dtype + " " + shape + ")";
  }
}
