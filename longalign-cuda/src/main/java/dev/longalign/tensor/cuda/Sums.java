package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.aligned;
import static dev.longalign.tensor.cuda.CudaContext.suffix;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.Collection;
import java.util.List;

/**
 * Sums of all elements in double precision. How they are divided depends on their number alone, so
 * that every device gets the same sum.
 */
final class Sums {
  /** Elements of a block at least; then a block has more. */
  private static final int PER_BLOCK = 8192;

  private static final int MAX_BLOCKS = 1024;

  private final CudaContext context;
  private final Transfers transfers;

  Sums(CudaContext context, Transfers transfers) {
    this.context = context;
    this.transfers = transfers;
  }

  /** An f32 scalar. */
  Tensor sum(Tensor x) {
    Tensor y = context.allocate(DType.F32, Shape.of());
    Parts parts = parts("sumParts_fwd", List.of(x));
    add("sum_fwd_f32", parts, context.address(y));
    context.memory().free(parts.address);
    return y;
  }

  /** Of several tensors together; waits for the device once. */
  double ofSquares(Collection<Tensor> xs) {
    Parts parts = parts("sumOfSquaresParts_fwd", xs);
    long result = context.memory().allocate(Double.BYTES);
    add("sum_fwd_f64", parts, result);
    double sum = transfers.download(result);
    context.memory().free(result);
    context.memory().free(parts.address);
    return sum;
  }

  /** Sums per block, in device memory that the caller frees. */
  private record Parts(long address, int count) {}

  private Parts parts(String kernel, Collection<Tensor> xs) {
    int count = xs.stream().mapToInt(Sums::blocks).sum();
    long address = context.memory().allocate((long) count * Double.BYTES);
    long to = address;
    for (Tensor x : xs) {
      int blocks = blocks(x);
      if (blocks > 0) {
        context
            .launch(kernel + suffix(x.dtype()))
            .grid(blocks, 1, 1)
            .shared(Launch.THREADS * Double.BYTES)
            .address(context.address(x))
            .address(to)
            .i64(x.shape().size())
            .flag(aligned(context.address(x)))
            .run();
        to += (long) blocks * Double.BYTES;
      }
    }
    return new Parts(address, count);
  }

  private static int blocks(Tensor x) {
    return (int) Math.min(MAX_BLOCKS, (x.shape().size() + PER_BLOCK - 1) / PER_BLOCK);
  }

  private void add(String kernel, Parts parts, long result) {
    context
        .launch(kernel)
        .shared(Launch.THREADS * Double.BYTES)
        .address(parts.address)
        .i32(parts.count)
        .address(result)
        .run();
  }
}
