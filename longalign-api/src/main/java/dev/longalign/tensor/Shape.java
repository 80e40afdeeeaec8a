package dev.longalign.tensor;

import java.util.Arrays;

/** The immutable extents of a tensor, outermost axis first; rank 0 is a scalar. */
public final class Shape {
  private final long[] dims;

  private Shape(long[] dims) {
    for (long dim : dims) {
      if (dim < 0) {
        throw new IllegalArgumentException("negative extent in shape " + Arrays.toString(dims));
      }
    }
    this.dims = dims;
  }

  public static Shape of(long... dims) {
    return new Shape(dims.clone());
  }

  public int rank() {
    return dims.length;
  }

  /** The extent of an axis; negative axes count from the end. */
  public long dim(int axis) {
    return dims[axis < 0 ? dims.length + axis : axis];
  }

  /** Like {@link #dim(int)}, as an int. */
  public int intDim(int axis) {
    return Math.toIntExact(dim(axis));
  }

  /** The number of elements. */
  public long size() {
    long size = 1;
    for (long dim : dims) {
      size = Math.multiplyExact(size, dim);
    }
    return size;
  }

  /** This shape with one extent replaced. */
  public Shape with(int axis, long dim) {
    long[] changed = dims.clone();
    changed[axis < 0 ? dims.length + axis : axis] = dim;
    return new Shape(changed);
  }

  public long[] toArray() {
    return dims.clone();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Shape && Arrays.equals(dims, ((Shape) other).dims);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(dims);
  }

  /** For example {@code [2, 64, 64, 320]}. */
  @Override
  public String toString() {
    return Arrays.toString(dims);
  }
}
