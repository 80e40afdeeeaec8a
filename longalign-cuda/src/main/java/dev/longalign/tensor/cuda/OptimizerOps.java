package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.aligned;
import static dev.longalign.tensor.cuda.CudaContext.items;
import static dev.longalign.tensor.cuda.CudaContext.suffix;

import dev.longalign.tensor.AdamW;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collection;

/** In place: accumulation, averages, norms, AdamW. */
final class OptimizerOps {
  private final CudaContext context;
  private final Sums sums;

  OptimizerOps(CudaContext context, Transfers transfers) {
    this.context = context;
    this.sums = new Sums(context, transfers);
  }

  void accumulate(Tensor into, float factor, Tensor x) {
    long size = into.shape().size();
    if (size == 0) {
      return;
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor more = into.dtype() == DType.F32 ? x : x.cast(into.dtype());
      inPlace("accumulate_fwd" + suffix(into.dtype()) + suffix(more.dtype()), size, into, more)
          .address(context.address(into))
          .f32(factor)
          .address(context.address(more))
          .i64(size)
          .flag(aligned(context.address(into), context.address(more)))
          .run();
    }
  }

  void swap(Tensor a, Tensor b) {
    long size = a.shape().size();
    if (size == 0 || context.address(a) == context.address(b)) {
      return;
    }
    inPlace("swap_fwd_b32", size, a, b)
        .address(context.address(a))
        .address(context.address(b))
        .i64(size)
        .flag(aligned(context.address(a), context.address(b)))
        .run();
  }

  void average(Tensor average, double decay, Tensor x) {
    long size = average.shape().size();
    if (size == 0) {
      return;
    }
    inPlace("average_fwd_f32", size, average, x)
        .address(context.address(average))
        .f32((float) decay)
        .address(context.address(x))
        .f32((float) (1 - decay))
        .i64(size)
        .flag(aligned(context.address(average), context.address(x)))
        .run();
  }

  double sumOfSquares(Collection<Tensor> xs) {
    return sums.ofSquares(xs);
  }

  void adamW(AdamW s, Tensor parameter, Tensor gradient, Tensor first, Tensor second) {
    long size = parameter.shape().size();
    if (size == 0) {
      return;
    }
    long[] addresses = {
      context.address(parameter),
      context.address(gradient),
      context.address(first),
      context.address(second)
    };
    Launch launch = inPlace("adamW_fwd_f32", size, parameter).struct(step(s));
    for (long address : addresses) {
      launch.address(address);
    }
    launch.i64(size).flag(aligned(addresses)).run();
  }

  /** {@code Step} of optimizer.cu. */
  private static ByteBuffer step(AdamW s) {
    return ByteBuffer.allocateDirect(8 * Float.BYTES)
        .order(ByteOrder.nativeOrder())
        .putFloat(s.gradientScale())
        .putFloat((float) s.beta2())
        .putFloat((float) (1 - s.beta1()))
        .putFloat((float) (1 - s.beta2()))
        .putFloat((float) (1 - s.learningRate() * s.weightDecay()))
        .putFloat((float) (s.learningRate() / (1 - Math.pow(s.beta1(), s.step()))))
        .putFloat((float) Math.sqrt(1 - Math.pow(s.beta2(), s.step())))
        .putFloat((float) s.eps())
        .flip();
  }

  /** Begins a launch with a thread for every 16 bytes of the first operand, if they are aligned. */
  private Launch inPlace(String kernel, long size, Tensor... operands) {
    boolean wide = true;
    for (Tensor x : operands) {
      wide &= aligned(context.address(x));
    }
    return context.launch(kernel).over(wide ? items(operands[0]) : size);
  }
}
