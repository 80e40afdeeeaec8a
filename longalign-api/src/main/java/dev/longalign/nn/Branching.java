package dev.longalign.nn;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.Tensor;
import java.util.function.Function;

/** A layer with a branch: the branch's output joins before the activation. */
final class Branching {
  private Branching() {}

  static Tensor forward(
      LayerBranch branch, Tensor x, Epilogue epilogue, Function<Epilogue, Tensor> layer) {
    if (epilogue.activation() == Activation.NONE) {
      return branch.addTo(layer.apply(epilogue), x); // sums commute: bias and residual stay fused
    }
    Tensor sum = branch.addTo(layer.apply(Epilogue.channelBias(epilogue.channelBias())), x);
    Tensor y = sum.activation(epilogue.activation());
    return epilogue.residual() == null ? y : y.add(epilogue.residual());
  }
}
