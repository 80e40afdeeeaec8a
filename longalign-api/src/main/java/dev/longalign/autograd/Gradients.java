package dev.longalign.autograd;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.Map;

/**
 * What a backward pass found, by variable; the tensors belong to the scope that was open on the
 * thread that called it.
 */
public final class Gradients {
  private final Map<Node, Tensor> byVariable;

  Gradients(Map<Node, Tensor> byVariable) {
    this.byVariable = byVariable;
  }

  /** Moves the gradients from this scope to the enclosing one. */
  void keepIn(TensorScope scope) {
    byVariable.values().forEach(scope::keep);
  }

  /** How many variables took part in what was differentiated. */
  public int size() {
    return byVariable.size();
  }

  /** Whether the variable took part in what was differentiated. */
  public boolean has(Tensor variable) {
    return byVariable.containsKey(TapeStorage.of(variable).node());
  }

  /**
   * The gradient with respect to a variable, of its shape and type.
   *
   * @throws LongAlignException if the variable took no part
   */
  public Tensor of(Tensor variable) {
    Tensor gradient = byVariable.get(TapeStorage.of(variable).node());
    if (gradient == null) {
      throw new LongAlignException(
          "no gradient for "
              + variable
              + ": it is no variable, or took no part in what was differentiated");
    }
    return gradient;
  }
}
