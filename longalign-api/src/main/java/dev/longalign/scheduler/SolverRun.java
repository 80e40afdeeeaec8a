package dev.longalign.scheduler;

import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayDeque;
import java.util.Iterator;

/**
 * What the multistep solvers share: noise levels with {@code alpha^2 + sigma^2 = 1}, and earlier
 * predictions of x0.
 */
abstract class SolverRun extends SchedulerRun {
  final SchedulerConfig config;
  final float[] levels;
  private final ArrayDeque<Kept> predictions = new ArrayDeque<>();
  private int stepsTaken;

  SolverRun(SchedulerConfig config, SigmaGrid grid, int first) {
    super(grid.timesteps(), first);
    this.config = config;
    grid.beginning(first);
    this.levels = (config.solver().order() > 1 ? grid.falling(first) : grid).sigmas();
  }

  /** A tensor in a scope of its own. */
  record Kept(Tensor tensor, TensorScope scope) {
    static Kept of(Tensor tensor) {
      TensorScope scope = TensorScope.detached();
      return new Kept(scope.adopt(tensor), scope);
    }
  }

  @Override
  final Tensor original(int k, Tensor output, Tensor x) {
    PredictionType.Mix mix = config.predictionType().original(alpha(levels[k]), sigma(levels[k]));
    return Combination.of(new double[] {mix.sample(), mix.output()}, x, output);
  }

  @Override
  final PredictionType.Mix noising(int k) {
    return new PredictionType.Mix(alpha(levels[k]), sigma(levels[k]));
  }

  /** Steps before this one in which a prediction was made. */
  final int stepsTaken() {
    return stepsTaken;
  }

  /**
   * Whether step k goes to no noise at all, or nowhere: higher orders have no limit there, first
   * order does.
   */
  final boolean endsThere(int k) {
    return levels[k + 1] == 0 || levels[k + 1] == levels[k];
  }

  /** Remembers the newest prediction, which must not share memory with a tensor of the caller. */
  final void remember(Tensor x0) {
    predictions.addFirst(Kept.of(x0));
    if (predictions.size() > config.solver().order()) {
      predictions.removeLast().scope().close();
    }
    stepsTaken++;
  }

  /**
   * {@code c[0] x + c[1] m0 + c[2] m1 + ...} over the remembered predictions, newest first; then
   * {@code c[n] extra}.
   */
  final Tensor combine(double[] c, Tensor x, Tensor extra) {
    Tensor[] terms = new Tensor[c.length];
    terms[0] = x;
    Iterator<Kept> newestFirst = predictions.iterator();
    int count = extra == null ? c.length : c.length - 1;
    for (int i = 1; i < count; i++) {
      terms[i] = newestFirst.next().tensor();
    }
    if (extra != null) {
      terms[count] = extra;
    }
    return Combination.of(c, terms);
  }

  static double alpha(double level) {
    return 1 / Math.sqrt(level * level + 1);
  }

  static double sigma(double level) {
    return level * alpha(level);
  }

  /** Half the logarithm of the signal to noise ratio, log(alpha / sigma). */
  static double lambda(double level) {
    return -Math.log(level);
  }

  @Override
  public void close() {
    predictions.forEach(kept -> kept.scope().close());
    predictions.clear();
  }
}
