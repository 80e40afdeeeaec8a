package dev.longalign.scheduler;

import dev.longalign.scheduler.SchedulerConfig.SolverType;
import dev.longalign.tensor.Tensor;
import java.util.function.Supplier;

/**
 * DPM-Solver++, deterministic and multistep, of order 1 to 3 (arXiv 2211.01095, algorithm 2 and
 * appendix).
 */
final class DpmSolverRun extends SolverRun {
  /** Below this number of steps the last ones are taken with lower order. */
  private static final int FEW_STEPS = 15;

  DpmSolverRun(SchedulerConfig config, SigmaGrid grid, int first) {
    super(config, grid, first);
  }

  @Override
  Tensor advance(int k, Tensor output, Tensor x, Supplier<Tensor> noise) {
    Tensor x0 = original(k, output, x);
    int order = order(k);
    remember(x0);
    return combine(coefficients(k, order), x, null);
  }

  private int order(int k) {
    SchedulerConfig.Solver solver = config.solver();
    boolean lower = solver.lowerOrderFinal() && total() < FEW_STEPS;
    int order = Math.min(solver.order(), stepsTaken() + 1);
    if (k == total() - 1 && (lower || solver.eulerAtFinal() || endsThere(k))) {
      return 1;
    }
    return k == total() - 2 && lower ? Math.min(order, 2) : order;
  }

  /** The weights of the sample and of the predictions of x0, newest first. */
  private double[] coefficients(int k, int order) {
    double alpha = alpha(levels[k + 1]);
    double h = lambda(levels[k + 1]) - lambda(levels[k]);
    double e = alpha * Math.expm1(-h);
    double[] c = new double[1 + order];
    c[0] = sigma(levels[k + 1]) / sigma(levels[k]);
    c[1] = -e;
    if (order == 1) {
      return c;
    }
    double r0 = (lambda(levels[k]) - lambda(levels[k - 1])) / h;
    double d1 =
        order == 2 && config.solver().type() == SolverType.MIDPOINT ? -0.5 * e : e / h + alpha;
    if (order == 2) {
      c[1] += d1 / r0;
      c[2] -= d1 / r0;
      return c;
    }
    // D1 = (1 + q) D10 - q D11 and D2 = (D10 - D11) / (r0 + r1), with D10 = (m0 - m1) / r0, D11 =
    // (m1 - m2) / r1
    double r1 = (lambda(levels[k - 1]) - lambda(levels[k - 2])) / h;
    double q = r0 / (r0 + r1);
    double d2 = -((e + alpha * h) / (h * h) - 0.5 * alpha) / (r0 + r1);
    double newer = (d1 * (1 + q) + d2) / r0;
    double older = (-d1 * q - d2) / r1;
    c[1] += newer;
    c[2] += older - newer;
    c[3] -= older;
    return c;
  }
}
