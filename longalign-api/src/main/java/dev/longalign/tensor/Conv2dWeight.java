package dev.longalign.tensor;

/** A convolution kernel with its bias, in whatever layout its backend likes. */
public abstract class Conv2dWeight extends ScopedResource {
  private final Conv2dGeometry geometry;
  private final DType dtype;

  protected Conv2dWeight(Conv2dGeometry geometry, DType dtype) {
    this.geometry = geometry;
    this.dtype = dtype;
  }

  public final Conv2dGeometry geometry() {
    return geometry;
  }

  /** The type this weight computes in; inputs must have it. */
  public final DType dtype() {
    return dtype;
  }
}
