package dev.longalign.tensor.cpu;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.List;

/** What the operations of the CPU backend share. */
record CpuContext(Backend backend, CpuMemory memory, PrimitiveCache cache, WorkLog work) {

  /** A new tensor of this thread's scope, uninitialised. */
  Tensor allocate(DType dtype, Shape shape) {
    CpuStorage storage = new CpuStorage(memory, shape.size() * dtype.bytes());
    return new Tensor(backend, TensorScope.register(storage), 0, dtype, shape);
  }

  Tensor allocateLike(Tensor x) {
    return allocate(x.dtype(), x.shape());
  }

  /** Takes the values over into a weight of the layout's type, in the order they have now. */
  PackedWeight pack(Tensor values, Layout layout, Tensor bias) {
    long address = memory.allocate(layout.bytes());
    convert(values, layout.dtype(), address);
    long biasAddress = 0;
    if (bias != null) {
      biasAddress = memory.allocate(bias.shape().size() * DType.F32.bytes());
      convert(bias, DType.F32, biasAddress);
    }
    return new PackedWeight(memory, layout, address, biasAddress);
  }

  /** Writes the elements of x, in order, as {@code dtype}. */
  void convert(Tensor x, DType dtype, long to) {
    long size = x.shape().size();
    if (size == 0) {
      return;
    }
    if (x.dtype() == dtype) {
      HostMemory.copy(address(x), to, size * dtype.bytes());
      return;
    }
    Primitive primitive =
        cache.get(
            List.of("convert", size, x.dtype(), dtype),
            () -> {
              try (Layout source = Layout.dense(x.dtype(), size);
                  Layout target = Layout.dense(dtype, size)) {
                return PrimitiveCache.reorder(source, target);
              }
            });
    primitive.execute(memory, address(x), to);
  }

  /** Where the first element is. */
  static long address(Tensor x) {
    return ((CpuStorage) x.storage()).address() + x.offset() * x.dtype().bytes();
  }
}
