package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.aligned;
import static dev.longalign.tensor.cuda.CudaContext.items;
import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Operations on single elements. */
final class PointwiseOps {
  /** {@code MAX_TERMS} of pointwise.cu. */
  private static final int MAX_TERMS = 32;

  private final CudaContext context;
  private final Transfers transfers;

  PointwiseOps(CudaContext context, Transfers transfers) {
    this.context = context;
    this.transfers = transfers;
  }

  Tensor activation(Tensor x, Activation activation) {
    Tensor y = context.allocateLike(x);
    if (y.shape().size() > 0) {
      map("activation_fwd", x, y).i32(activation.ordinal()).run();
    }
    return y;
  }

  Tensor clamp(Tensor x, float low, float high) {
    Tensor y = context.allocateLike(x);
    if (y.shape().size() > 0) {
      map("clamp_fwd", x, y).f32(low).f32(high).run();
    }
    return y;
  }

  private Launch map(String kernel, Tensor x, Tensor y) {
    long size = x.shape().size();
    boolean wide = aligned(context.address(x));
    return context
        .launch(kernel + suffix(x.dtype()))
        .over(wide ? items(x) : size)
        .address(context.address(x))
        .address(context.address(y))
        .i64(size)
        .flag(wide);
  }

  Tensor gatedGelu(Tensor x) {
    int n = x.dim(-1) / 2;
    Tensor y = context.allocate(x.dtype(), x.shape().with(-1, n));
    if (y.shape().size() == 0) {
      return y;
    }
    boolean wide = wide(x.dtype(), n, context.address(x));
    context
        .launch("gatedGelu_fwd" + suffix(x.dtype()))
        .over(wide ? items(y) : y.shape().size())
        .address(context.address(x))
        .address(context.address(y))
        .i64(y.shape().size() / n)
        .i32(n)
        .flag(wide)
        .run();
    return y;
  }

  Tensor linearCombination(float[] coefficients, Tensor... xs) {
    if (xs.length > MAX_TERMS) {
      throw new LongAlignException(
          "linearCombination: " + xs.length + " terms; cuda takes up to " + MAX_TERMS);
    }
    Tensor y = context.allocateLike(xs[0]);
    if (y.shape().size() == 0) {
      return y;
    }
    if (xs.length == 1 && coefficients[0] == 1) {
      long bytes = y.shape().size() * y.dtype().bytes();
      transfers.copy(context.address(xs[0]), context.address(y), bytes);
      return y;
    }
    ByteBuffer terms =
        ByteBuffer.allocateDirect(MAX_TERMS * (Long.BYTES + Float.BYTES))
            .order(ByteOrder.nativeOrder());
    boolean wide = true;
    for (int i = 0; i < xs.length; i++) {
      long address = context.address(xs[i]);
      wide &= aligned(address);
      terms.putLong(i * Long.BYTES, address);
      terms.putFloat(MAX_TERMS * Long.BYTES + i * Float.BYTES, coefficients[i]);
    }
    context
        .launch("linearCombination_fwd" + suffix(y.dtype()))
        .over(wide ? items(y) : y.shape().size())
        .struct(terms)
        .i32(xs.length)
        .address(context.address(y))
        .i64(y.shape().size())
        .flag(wide)
        .run();
    return y;
  }

  Tensor cast(Tensor x, DType dtype) {
    Tensor y = context.allocate(dtype, x.shape());
    if (y.shape().size() > 0) {
      context
          .launch("cast_fwd" + suffix(x.dtype()) + suffix(dtype))
          .over(x.shape().size())
          .address(context.address(x))
          .address(context.address(y))
          .i64(x.shape().size())
          .run();
    }
    return y;
  }
}
