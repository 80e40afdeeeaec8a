package dev.longalign.scheduler;

import dev.longalign.tensor.Tensor;

/**
 * The boundary condition of a consistency model, {@code f(x, t) = cSkip x + cOut x0(x, t)}, which
 * makes f the identity at t = 0 (arXiv 2303.01469, appendix C; timesteps scaled as in latent
 * consistency models).
 *
 * @param sigmaData standard deviation of the data
 * @param timestepScaling factor on the timestep
 */
public record ConsistencyBoundary(double sigmaData, double timestepScaling) {
  /** What LongAlign trains with. */
  public static final ConsistencyBoundary DEFAULT = new ConsistencyBoundary(0.5, 10);

  public double cSkip(int timestep) {
    double t = timestep * timestepScaling;
    return sigmaData * sigmaData / (t * t + sigmaData * sigmaData);
  }

  public double cOut(int timestep) {
    double t = timestep * timestepScaling;
    return t / Math.sqrt(t * t + sigmaData * sigmaData);
  }

  /**
   * {@code f(x, t)} from the predicted clean latents.
   *
   * @param timesteps one, or one per row
   */
  public Tensor apply(Tensor x, Tensor x0, int... timesteps) {
    double[][] coefficients = new double[timesteps.length][];
    for (int row = 0; row < timesteps.length; row++) {
      coefficients[row] = new double[] {cSkip(timesteps[row]), cOut(timesteps[row])};
    }
    return Combination.perRow(coefficients, x, x0);
  }
}
