package dev.longalign.tensor.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.DType;
import org.bytedeco.dnnl.dnnl_memory_desc;

/** How a tensor lies in memory: an owned oneDNN memory descriptor. */
final class Layout implements AutoCloseable {
  private final dnnl_memory_desc descriptor;
  private final DType dtype;

  private Layout(dnnl_memory_desc descriptor, DType dtype) {
    this.descriptor = descriptor;
    this.dtype = dtype;
  }

  /** Row-major. */
  static Layout dense(DType dtype, long... dims) {
    long[] strides = new long[dims.length];
    long stride = 1;
    for (int i = dims.length - 1; i >= 0; i--) {
      strides[i] = stride;
      stride *= dims[i];
    }
    return strided(dtype, dims, strides);
  }

  static Layout strided(DType dtype, long[] dims, long[] strides) {
    dnnl_memory_desc descriptor = new dnnl_memory_desc();
    OneDnn.check(
        dnnl_memory_desc_create_with_strides(
            descriptor, dims.length, dims, OneDnn.dataType(dtype), strides),
        "memory descriptor");
    return new Layout(descriptor, dtype);
  }

  /** Whatever the primitive likes best. */
  static Layout any(DType dtype, long... dims) {
    dnnl_memory_desc descriptor = new dnnl_memory_desc();
    OneDnn.check(
        dnnl_memory_desc_create_with_tag(
            descriptor, dims.length, dims, OneDnn.dataType(dtype), dnnl_format_tag_any),
        "memory descriptor");
    return new Layout(descriptor, dtype);
  }

  /** Logical [N, C, H, W] over NHWC memory. */
  static Layout nhwc(DType dtype, long n, long c, long h, long w) {
    return strided(dtype, new long[] {n, c, h, w}, new long[] {h * w * c, 1, w * c, c});
  }

  /** An owned copy of a descriptor that belongs to somebody else. */
  static Layout copyOf(dnnl_memory_desc other, DType dtype) {
    dnnl_memory_desc descriptor = new dnnl_memory_desc();
    OneDnn.check(dnnl_memory_desc_clone(descriptor, other), "memory descriptor");
    return new Layout(descriptor, dtype);
  }

  Layout copy() {
    return copyOf(descriptor, dtype);
  }

  dnnl_memory_desc descriptor() {
    return descriptor;
  }

  DType dtype() {
    return dtype;
  }

  long bytes() {
    return dnnl_memory_desc_get_size(descriptor);
  }

  boolean sameAs(Layout other) {
    return dnnl_memory_desc_equal(descriptor, other.descriptor) != 0;
  }

  @Override
  public void close() {
    dnnl_memory_desc_destroy(descriptor);
  }
}
