package dev.longalign.scheduler;

import dev.longalign.tensor.Tensor;
import java.util.function.Supplier;

/**
 * UniPC on predictions of x0: each network output first corrects the last step, then predicts the
 * next one.
 */
final class UniPcRun extends SolverRun {
  private Kept last;
  private int lastOrder;

  UniPcRun(SchedulerConfig config, SigmaGrid grid, int first) {
    super(config, grid, first);
  }

  @Override
  Tensor advance(int k, Tensor output, Tensor x, Supplier<Tensor> noise) {
    Tensor x0 = original(k, output, x);
    SchedulerConfig.Solver solver = config.solver();
    Tensor sample;
    if (last != null && !solver.disableCorrector().contains(k - 1)) {
      double[] c = UniPcCoefficients.of(levels, k - 1, lastOrder, true, solver.type());
      sample = combine(c, last.tensor(), x0);
    } else {
      sample = x.scale(1); // a copy: x is the caller's
    }
    int order = Math.min(solver.order(), stepsTaken() + 1);
    if (solver.lowerOrderFinal()) {
      order = Math.min(order, total() - k);
    }
    if (endsThere(k)) {
      order = 1;
    }
    remember(x0);
    forgetLast();
    last = Kept.of(sample);
    lastOrder = order;
    return combine(UniPcCoefficients.of(levels, k, order, false, solver.type()), sample, null);
  }

  private void forgetLast() {
    if (last != null) {
      last.scope().close();
      last = null;
    }
  }

  @Override
  public void close() {
    super.close();
    forgetLast();
  }
}
