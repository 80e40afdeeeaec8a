package dev.longalign.autograd;

import dev.longalign.tensor.Tensor;
import java.util.function.Function;

/**
 * Activation checkpointing (Chen et al. 2016): a block whose inner activations are not kept but
 * computed again in the backward pass.
 *
 * <pre>{@code
 * Tensor y = Checkpoint.run(in -> block(in[0], in[1]), x, time);
 * }</pre>
 */
public final class Checkpoint {
  private Checkpoint() {}

  /**
   * {@code block.apply(inputs)}; on an {@link AutogradBackend} with checkpoints, only the inputs
   * are kept for the backward pass. Everything else that the block uses (parameters, frozen
   * weights) must still be there then.
   *
   * @param inputs the first is not null
   */
  public static Tensor run(Function<Tensor[], Tensor> block, Tensor... inputs) {
    return inputs[0].backend() instanceof AutogradBackend autograd && autograd.checkpoints()
        ? autograd.checkpoint(block, inputs)
        : block.apply(inputs);
  }
}
