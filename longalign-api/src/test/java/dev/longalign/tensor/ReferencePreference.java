package dev.longalign.tensor;

/** The decomposition of texts and the gradient of scores, by their formulas in f64. */
final class ReferencePreference {
  private final ReferenceBackend backend;

  ReferencePreference(ReferenceBackend backend) {
    this.backend = backend;
  }

  ReweightedTexts reweight(Tensor texts, Tensor direction, float omega) {
    int width = texts.dim(1);
    double[] t = backend.doubles(texts);
    double[] v = direction == null ? mean(t, width) : backend.doubles(direction);
    double[] eta = new double[texts.dim(0)];
    for (int i = 0; i < t.length; i++) {
      eta[i / width] += t[i] * v[i % width];
    }
    double[] reweighted = new double[t.length];
    for (int i = 0; i < t.length; i++) {
      reweighted[i] = t[i] - (1.0 - omega) * eta[i / width] * v[i % width];
    }
    return new ReweightedTexts(
        backend.of(DType.F32, Shape.of(width), v),
        backend.of(DType.F32, Shape.of(eta.length), eta),
        backend.of(texts.dtype(), texts.shape(), reweighted));
  }

  /** Normalised. */
  private static double[] mean(double[] t, int width) {
    double[] mean = new double[width];
    for (int i = 0; i < t.length; i++) {
      mean[i % width] += t[i];
    }
    double squares = 0;
    for (double m : mean) {
      squares += m * m;
    }
    for (int d = 0; d < width; d++) {
      mean[d] /= Math.sqrt(squares);
    }
    return mean;
  }

  PreferenceGradient gradient(Tensor texts, Tensor images) {
    int width = texts.dim(1);
    double[] t = backend.doubles(texts);
    double[] image = backend.doubles(images);
    double[] dots = new double[texts.dim(0)];
    double[] squares = new double[texts.dim(0)];
    for (int i = 0; i < t.length; i++) {
      dots[i / width] += t[i] * image[i];
      squares[i / width] += image[i] * image[i];
    }
    double[] gradient = new double[t.length];
    for (int i = 0; i < t.length; i++) {
      double length = Math.sqrt(squares[i / width]);
      double unit = image[i] / length;
      gradient[i] = (t[i] - dots[i / width] / length * unit) / length;
    }
    double[] scores = new double[dots.length];
    for (int row = 0; row < scores.length; row++) {
      scores[row] = dots[row] / Math.sqrt(squares[row]);
    }
    return new PreferenceGradient(
        backend.of(DType.F32, Shape.of(scores.length), scores),
        backend.of(images.dtype(), images.shape(), gradient));
  }
}
