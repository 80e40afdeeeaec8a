package dev.longalign.autograd;

import dev.longalign.tensor.AdamW;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TrainingOps;
import java.util.Collection;

/** The operations of training, recorded; what works in place is not differentiable. */
final class AutogradTraining implements TrainingOps {
  private final Recorder recorder;
  private final Derivatives derivatives;
  private final TrainingOps inner;

  AutogradTraining(Recorder recorder, Derivatives derivatives, TrainingOps inner) {
    this.recorder = recorder;
    this.derivatives = derivatives;
    this.inner = inner;
  }

  @Override
  public Tensor linear(Tensor x, Tensor weight, Tensor bias) {
    Tensor y = inner.linear(recorder.in(x), recorder.in(weight), recorder.inOrNull(bias));
    return recorder.record(
        y,
        derivatives.linear(x.shape()),
        Recorder.list(x, weight, bias),
        recorder.ifWanted(weight, x),
        recorder.ifWanted(x, weight));
  }

  @Override
  public Tensor conv2d(Tensor x, Tensor weight, Conv2dGeometry geometry) {
    Tensor y = inner.conv2d(recorder.in(x), recorder.in(weight), geometry);
    return recorder.record(
        y,
        derivatives.conv2d(x.shape(), geometry),
        Recorder.list(x, weight),
        recorder.ifWanted(weight, x),
        recorder.ifWanted(x, weight));
  }

  @Override
  public Tensor causalAttention(Tensor q, Tensor k, Tensor v, int heads, float scale) {
    Tensor y = inner.causalAttention(recorder.in(q), recorder.in(k), recorder.in(v), heads, scale);
    return recorder.record(
        y, derivatives.causalAttention(heads, scale), Recorder.list(q, k, v), q, k, v);
  }

  @Override
  public Tensor multiply(Tensor a, Tensor b) {
    Tensor y = inner.multiply(recorder.in(a), recorder.in(b));
    return recorder.record(
        y,
        derivatives.multiply(),
        Recorder.list(a, b),
        recorder.ifWanted(b, a),
        recorder.ifWanted(a, b));
  }

  @Override
  public Tensor dropout(Tensor x, float p, long key) {
    Tensor y = inner.dropout(recorder.in(x), p, key);
    return recorder.record(y, derivatives.dropout(p, key), Recorder.list(x));
  }

  @Override
  public Tensor pseudoHuber(Tensor x, float c) {
    Tensor y = inner.pseudoHuber(recorder.in(x), c);
    return recorder.record(y, derivatives.pseudoHuber(c), Recorder.list(x), x);
  }

  @Override
  public Tensor normalizeRows(Tensor x) {
    Tensor y = inner.normalizeRows(recorder.in(x));
    return recorder.record(y, derivatives.normalizeRows(), Recorder.list(x), x);
  }

  @Override
  public Tensor scaleExp(Tensor x, Tensor logScale) {
    Tensor y = inner.scaleExp(recorder.in(x), recorder.in(logScale));
    return recorder.record(
        y,
        derivatives.scaleExp(),
        Recorder.list(x, logScale),
        logScale,
        recorder.ifWanted(logScale, x));
  }

  @Override
  public Tensor gatherRows(Tensor x, int[] rows) {
    Tensor y = inner.gatherRows(recorder.in(x), rows);
    return recorder.record(y, derivatives.gatherRows(rows, x.shape().dim(0)), Recorder.list(x));
  }

  @Override
  public Tensor logSumExp(Tensor x) {
    Tensor y = inner.logSumExp(recorder.in(x));
    return recorder.record(y, derivatives.logSumExp(), Recorder.list(x), x);
  }

  @Override
  public Tensor slice(Tensor x, int axis, long from, long to) {
    Tensor y = inner.slice(recorder.in(x), axis, from, to);
    return recorder.record(y, derivatives.slice(axis, from, to, x.shape()), Recorder.list(x));
  }

  @Override
  public Tensor sum(Tensor x) {
    Tensor y = inner.sum(recorder.in(x));
    return recorder.record(y, derivatives.sum(x.dtype(), x.shape()), Recorder.list(x));
  }

  @Override
  public Tensor rowDots(Tensor a, Tensor b) {
    Tensor y = inner.rowDots(recorder.in(a), recorder.in(b));
    return recorder.record(
        y,
        derivatives.rowDots(),
        Recorder.list(a, b),
        recorder.ifWanted(b, a),
        recorder.ifWanted(a, b));
  }

  @Override
  public void accumulate(Tensor into, float factor, Tensor x) {
    inner.accumulate(recorder.in(into), factor, recorder.in(x));
  }

  @Override
  public void swap(Tensor a, Tensor b) {
    inner.swap(recorder.in(a), recorder.in(b));
  }

  @Override
  public void average(Tensor average, double decay, Tensor x) {
    inner.average(recorder.in(average), decay, recorder.in(x));
  }

  @Override
  public double sumOfSquares(Tensor x) {
    return inner.sumOfSquares(recorder.in(x));
  }

  @Override
  public double sumOfSquares(Collection<Tensor> xs) {
    return inner.sumOfSquares(xs.stream().map(recorder::in).toList());
  }

  @Override
  public void adamW(
      AdamW settings, Tensor parameter, Tensor gradient, Tensor first, Tensor second) {
    inner.adamW(
        settings,
        recorder.in(parameter),
        recorder.in(gradient),
        recorder.in(first),
        recorder.in(second));
  }
}
