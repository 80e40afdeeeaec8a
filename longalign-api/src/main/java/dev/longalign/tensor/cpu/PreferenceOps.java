package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.PreferenceGradient;
import dev.longalign.tensor.ReweightedTexts;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.List;
import java.util.stream.IntStream;

/** What texts have in common, and the gradient of scores; rows in Java, summed in f64. */
final class PreferenceOps {
  /** Rows that are summed together, so that a sum does not depend on threads. */
  private static final int ROWS = 256;

  private final CpuContext context;

  PreferenceOps(CpuContext context) {
    this.context = context;
  }

  ReweightedTexts reweight(Tensor texts, Tensor direction, float omega) {
    int rows = texts.dim(0);
    int width = texts.dim(1);
    try (TensorScope scope = TensorScope.open()) {
      Tensor t = texts.cast(DType.F32);
      Tensor v = direction == null ? context.allocate(DType.F32, Shape.of(width)) : direction;
      Tensor eta = context.allocate(DType.F32, Shape.of(rows));
      Tensor y = context.allocate(DType.F32, t.shape());
      float[] common = direction == null ? common(t) : HostLoops.read(address(direction), 0, width);
      if (direction == null) {
        HostMemory.write(address(v), common);
      }
      long from = address(t);
      long toEta = address(eta);
      long to = address(y);
      IntStream.range(0, rows)
          .parallel()
          .forEach(
              row -> {
                float[] values = HostLoops.read(from, (long) row * width, width);
                double along = CpuTraining.dot(values, common, 0, width);
                double removed = (1.0 - omega) * along;
                for (int d = 0; d < width; d++) {
                  values[d] = (float) (values[d] - removed * common[d]);
                }
                HostLoops.write(to, (long) row * width, values);
                HostLoops.write(toEta, row, new float[] {(float) along});
              });
      return new ReweightedTexts(scope.keep(v), scope.keep(eta), scope.keep(y.cast(texts.dtype())));
    }
  }

  /** The sum of all rows, divided by its length. */
  private static float[] common(Tensor texts) {
    int rows = texts.dim(0);
    int width = texts.dim(1);
    long from = address(texts);
    List<double[]> parts =
        IntStream.range(0, (rows + ROWS - 1) / ROWS)
            .parallel()
            .mapToObj(part -> sum(from, width, part * ROWS, Math.min(rows, (part + 1) * ROWS)))
            .toList();
    double[] sum = parts.get(0);
    for (double[] part : parts.subList(1, parts.size())) {
      for (int d = 0; d < width; d++) {
        sum[d] += part[d];
      }
    }
    double squares = 0;
    for (double value : sum) {
      squares += value * value;
    }
    double length = Math.sqrt(squares);
    float[] direction = new float[width];
    for (int d = 0; d < width; d++) {
      direction[d] = (float) (sum[d] / length);
    }
    return direction;
  }

  private static double[] sum(long address, int width, int from, int to) {
    double[] sum = new double[width];
    for (int row = from; row < to; row++) {
      float[] values = HostLoops.read(address, (long) row * width, width);
      for (int d = 0; d < width; d++) {
        sum[d] += values[d];
      }
    }
    return sum;
  }

  PreferenceGradient gradient(Tensor texts, Tensor images) {
    int rows = texts.dim(0);
    int width = texts.dim(1);
    try (TensorScope scope = TensorScope.open()) {
      Tensor t = texts.cast(DType.F32);
      Tensor i = images.cast(DType.F32);
      Tensor scores = context.allocate(DType.F32, Shape.of(rows));
      Tensor gradient = context.allocate(DType.F32, t.shape());
      long fromTexts = address(t);
      long fromImages = address(i);
      long toScores = address(scores);
      long to = address(gradient);
      IntStream.range(0, rows)
          .parallel()
          .forEach(
              row -> {
                long at = (long) row * width;
                float[] text = HostLoops.read(fromTexts, at, width);
                float[] image = HostLoops.read(fromImages, at, width);
                double length = Math.sqrt(CpuTraining.dot(image, image, 0, width));
                double score = CpuTraining.dot(text, image, 0, width) / length;
                double along = score / length;
                for (int d = 0; d < width; d++) {
                  text[d] = (float) ((text[d] - along * image[d]) / length);
                }
                HostLoops.write(to, at, text);
                HostLoops.write(toScores, row, new float[] {(float) score});
              });
      return new PreferenceGradient(scope.keep(scores), scope.keep(gradient.cast(images.dtype())));
    }
  }
}
