package dev.longalign.tensor;

/** A weight matrix [out, in] with an optional bias [out], in whatever layout its backend likes. */
public abstract class LinearWeight extends ScopedResource {
  private final int inFeatures;
  private final int outFeatures;
  private final DType dtype;

  protected LinearWeight(int inFeatures, int outFeatures, DType dtype) {
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.dtype = dtype;
  }

  public final int inFeatures() {
    return inFeatures;
  }

  public final int outFeatures() {
    return outFeatures;
  }

  /** The type this weight computes in; inputs must have it. */
  public final DType dtype() {
    return dtype;
  }
}
