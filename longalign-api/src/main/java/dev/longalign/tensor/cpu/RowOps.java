package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.Arrays;

/** Rows taken by number, sums over rows in the exponential, and their derivatives; in Java. */
final class RowOps {
  private final CpuContext context;

  RowOps(CpuContext context) {
    this.context = context;
  }

  Tensor gather(Tensor x, int[] rows) {
    Tensor y = context.allocate(x.dtype(), x.shape().with(0, rows.length));
    if (y.shape().size() > 0) {
      long bytes = x.shape().size() / x.shape().dim(0) * x.dtype().bytes();
      for (int i = 0; i < rows.length; i++) {
        HostMemory.copy(address(x) + rows[i] * bytes, address(y) + i * bytes, bytes);
      }
    }
    return y;
  }

  /** In the order of the rows, so that sums do not depend on threads. */
  Tensor scatter(Tensor dy, int[] rows, long count) {
    Shape shape = dy.shape().with(0, count);
    float[] values = dy.toFloats();
    float[] sums = new float[Math.toIntExact(shape.size())];
    int width = rows.length == 0 ? 0 : values.length / rows.length;
    for (int i = 0; i < rows.length; i++) {
      int to = rows[i] * width;
      for (int c = 0; c < width; c++) {
        sums[to + c] += values[i * width + c];
      }
    }
    return CpuTraining.of(context, sums, dy.dtype(), shape);
  }

  Tensor logSumExp(Tensor x) {
    float[] values = x.toFloats();
    int width = x.dim(-1);
    long[] dims = x.shape().toArray();
    float[] logs = new float[values.length / width];
    for (int row = 0; row < logs.length; row++) {
      double max = max(values, row * width, width);
      double sum = 0;
      for (int c = 0; c < width; c++) {
        sum += Math.exp(values[row * width + c] - max);
      }
      logs[row] = (float) (max + Math.log(sum));
    }
    Shape shape = Shape.of(Arrays.copyOf(dims, dims.length - 1));
    return CpuTraining.of(context, logs, DType.F32, shape);
  }

  Tensor logSumExp(Tensor x, Tensor dy) {
    float[] values = x.toFloats();
    float[] factors = dy.toFloats();
    int width = x.dim(-1);
    double[] p = new double[width];
    for (int row = 0; row < factors.length; row++) {
      double max = max(values, row * width, width);
      double sum = 0;
      for (int c = 0; c < width; c++) {
        p[c] = Math.exp(values[row * width + c] - max);
        sum += p[c];
      }
      for (int c = 0; c < width; c++) {
        values[row * width + c] = (float) (factors[row] * p[c] / sum);
      }
    }
    return CpuTraining.of(context, values, x.dtype(), x.shape());
  }

  private static double max(float[] values, int from, int count) {
    float max = values[from];
    for (int i = from + 1; i < from + count; i++) {
      max = Math.max(max, values[i]);
    }
    return max;
  }
}
