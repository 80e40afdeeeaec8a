package dev.longalign.scheduler;

import dev.longalign.scheduler.SchedulerConfig.SolverType;

/**
 * The weights of a UniPC update (arXiv 2302.04867, algorithms 5 to 8), folded into one linear
 * combination.
 */
final class UniPcCoefficients {
  private UniPcCoefficients() {}

  /**
   * From noise level {@code levels[s]} to {@code levels[s + 1]}.
   *
   * @param order of the update, 1 to 3; uses the predictions of x0 at levels s, s - 1, ..., s -
   *     order + 1
   * @param corrector whether the prediction at level s + 1 takes part, as the last weight
   * @return the weights of the sample at s, of the predictions, newest first, and of that at s + 1
   */
  static double[] of(float[] levels, int s, int order, boolean corrector, SolverType type) {
    double alpha = SolverRun.alpha(levels[s + 1]);
    double h = SolverRun.lambda(levels[s + 1]) - SolverRun.lambda(levels[s]);
    double phi1 = Math.expm1(-h);
    double b = type == SolverType.BH1 ? -h : phi1;

    double[] r =
        new double[order]; // relative positions of the older predictions, then of level s + 1
    for (int i = 1; i < order; i++) {
      r[i - 1] = (SolverRun.lambda(levels[s - i]) - SolverRun.lambda(levels[s])) / h;
    }
    r[order - 1] = 1;
    double[] rho = corrector ? correctorWeights(r, h, phi1, b) : predictorWeights(r, h, phi1, b);

    double[] c = new double[1 + order + (corrector ? 1 : 0)];
    c[0] = SolverRun.sigma(levels[s + 1]) / SolverRun.sigma(levels[s]);
    c[1] = -alpha * phi1;
    for (int i = 0; i < rho.length; i++) {
      double weight = -alpha * b * rho[i] / r[i];
      c[2 + i] = weight;
      c[1] -= weight;
    }
    return c;
  }

  private static double[] predictorWeights(double[] r, double h, double phi1, double b) {
    return switch (r.length) {
      case 1 -> new double[0];
      case 2 ->
          new double[] {
            0.5
          }; // the simplification of the reference, not the solution of the equations
      default -> solve(r, r.length - 1, h, phi1, b);
    };
  }

  private static double[] correctorWeights(double[] r, double h, double phi1, double b) {
    return r.length == 1 ? new double[] {0.5} : solve(r, r.length, h, phi1, b);
  }

  /**
   * The first n weights from {@code sum_j r_j^i rho_j = i! phi_{i+2}(h) / B(h)}, i = 0..n-1, by
   * elimination.
   */
  private static double[] solve(double[] r, int n, double h, double phi1, double b) {
    double[][] rows = new double[n][n + 1];
    double phi = phi1 / -h - 1;
    double factorial = 1;
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        rows[i][j] = Math.pow(r[j], i);
      }
      rows[i][n] = phi * factorial / b;
      factorial *= i + 2;
      phi = phi / -h - 1 / factorial;
    }
    for (int pivot = 0; pivot < n; pivot++) {
      for (int i = 0; i < n; i++) {
        double factor = i == pivot ? 0 : rows[i][pivot] / rows[pivot][pivot];
        for (int j = pivot; j <= n && i != pivot; j++) {
          rows[i][j] -= factor * rows[pivot][j];
        }
      }
    }
    double[] rho = new double[n];
    for (int i = 0; i < n; i++) {
      rho[i] = rows[i][n] / rows[i][i];
    }
    return rho;
  }
}
