package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;

/**
 * The derivative of group normalisation, image by image:
 *
 * <pre>
 *   n = (x - mean) / deviation,  z = gamma n + beta,  y = activation(z)
 *   dx = (gamma dz - mean(gamma dz) - n mean(gamma dz n)) / deviation,  means over the group
 *   dgamma = sum(dz n),  dbeta = sum(dz)
 * </pre>
 */
final class GroupNormGradient {
  private final CpuContext context;
  private final CpuWorkers workers;

  GroupNormGradient(CpuContext context, CpuWorkers workers) {
    this.context = context;
    this.workers = workers;
  }

  Tensor[] groupNorm(
      Tensor x,
      int groups,
      Tensor gamma,
      Tensor beta,
      float eps,
      Activation activation,
      Tensor dy,
      boolean[] wanted) {
    int images = x.dim(0);
    int channels = x.dim(-1);
    float[][] dGamma = new float[images][channels];
    float[][] dBeta = new float[images][channels];
    Tensor dx = wanted[0] ? context.allocateLike(x) : null;
    if (x.shape().size() > 0) {
      long pixels = x.shape().size() / images / channels;
      Image image =
          new Image(
              new GroupNormPrimitives(pixels, channels, x.dtype()),
              groups,
              gamma.toFloats(),
              address(gamma),
              address(beta),
              eps,
              activation);
      long bytes = pixels * channels * x.dtype().bytes();
      long room = image.room(bytes);
      CpuMemory memory = context.memory();
      long scratch = memory.allocate(workers.count() * room);
      try {
        workers.each(
            images,
            context.cache(),
            (cache, number, i) ->
                run(
                    image,
                    cache,
                    scratch + number * room,
                    address(x) + i * bytes,
                    address(dy) + i * bytes,
                    dx == null ? 0 : address(dx) + i * bytes,
                    dGamma[i],
                    dBeta[i]));
      } finally {
        memory.free(scratch);
      }
    }
    return new Tensor[] {
      dx, wanted[1] ? sum(dGamma, channels) : null, wanted[2] ? sum(dBeta, channels) : null
    };
  }

  /** What is the same for all images; gamma on the host too. */
  private record Image(
      GroupNormPrimitives primitives,
      int groups,
      float[] scale,
      long gamma,
      long beta,
      float eps,
      Activation activation) {
    private static final int ROWS = 6;

    /** Bytes of one row of numbers per channel. */
    long row() {
      return primitives.channels() * DType.F32.bytes();
    }

    /** Scratch memory: two images, and rows of numbers. */
    long room(long bytes) {
      return 2 * aligned(bytes) + ROWS * aligned(row());
    }

    static long aligned(long bytes) {
      return (bytes + 63) / 64 * 64;
    }
  }

  private void run(
      Image image,
      PrimitiveCache cache,
      long scratch,
      long x,
      long dy,
      long dx,
      float[] dGamma,
      float[] dBeta) {
    CpuMemory memory = context.memory();
    GroupNormPrimitives p = image.primitives;
    long bytes = p.pixels() * p.channels() * p.dtype().bytes();
    long row = Image.aligned(image.row());
    long first = scratch;
    long second = scratch + Image.aligned(bytes);
    long means = second + Image.aligned(bytes);
    long variances = means + row;
    long factors = variances + row;
    long shifts = factors + row;
    long sums = shifts + row;
    long along = sums + row;

    int channels = image.scale.length;
    float[] mean = new float[channels];
    float[] variance = new float[channels];
    float[] inverse = new float[channels];
    p.statistics(cache).execute(memory, x, means, variances, first);
    HostMemory.read(means, mean);
    HostMemory.read(variances, variance);
    GroupNormPrimitives.group(mean, variance, inverse, image.groups, image.eps);
    HostMemory.write(means, mean);
    HostMemory.write(variances, variance);

    long dz = dy;
    if (image.activation != Activation.NONE) {
      float[] factor = new float[channels];
      for (int c = 0; c < channels; c++) {
        factor[c] = image.scale[c] * inverse[c];
      }
      HostMemory.write(factors, factor);
      p.normalise(cache, Activation.NONE).execute(memory, x, means, first, factors, image.beta);
      dz = second;
      PointwiseGradient.activation(cache, image.activation, p.pixels() * p.channels(), p.dtype())
          .execute(memory, first, dy, dz);
    }
    p.gradient(cache, image.eps)
        .execute(memory, x, means, variances, dz, image.gamma, first, along, sums);
    HostMemory.read(along, dGamma);
    HostMemory.read(sums, dBeta);
    if (dx != 0) {
      Coefficients k = coefficients(image, dBeta, dGamma, inverse);
      HostMemory.write(factors, k.ofX);
      HostMemory.write(shifts, k.constant);
      p.combine(cache).execute(memory, x, means, dx, factors, shifts, first);
    }
  }

  /** {@code dx = gamma dz / deviation + ofX (x - mean) + constant}, per channel. */
  private record Coefficients(float[] ofX, float[] constant) {}

  private static Coefficients coefficients(
      Image image, float[] sums, float[] along, float[] inverse) {
    float[] gamma = image.scale;
    int channels = gamma.length;
    int perGroup = channels / image.groups;
    double count = (double) image.primitives.pixels() * perGroup;
    Coefficients k = new Coefficients(new float[channels], new float[channels]);
    for (int first = 0; first < channels; first += perGroup) {
      double meanDz = 0;
      double meanAlong = 0;
      for (int c = first; c < first + perGroup; c++) {
        meanDz += (double) gamma[c] * sums[c] / count;
        meanAlong += (double) gamma[c] * along[c] / count;
      }
      for (int c = first; c < first + perGroup; c++) {
        double i = inverse[c];
        k.ofX[c] = (float) (-meanAlong * i * i);
        k.constant[c] = (float) (-meanDz * i);
      }
    }
    return k;
  }

  private Tensor sum(float[][] rows, int columns) {
    double[] sums = new double[columns];
    for (float[] row : rows) {
      for (int c = 0; c < columns; c++) {
        sums[c] += row[c];
      }
    }
    float[] values = new float[columns];
    for (int c = 0; c < columns; c++) {
      values[c] = (float) sums[c];
    }
    return Tensor.of(context.backend(), Shape.of(columns), values);
  }
}
