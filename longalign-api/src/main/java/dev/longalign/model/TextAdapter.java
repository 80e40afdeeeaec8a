package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.nn.FeedForward;
import dev.longalign.nn.LayerBranches;
import dev.longalign.nn.LayerNorm;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.WeightSource;
import dev.longalign.nn.Weights;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.List;

/**
 * From T5's hidden states to the width of the UNet's context (LaVi-Bridge, Zhao et al. 2024): twice
 * a layer norm and a GEGLU feed-forward. Thread-safe.
 */
public final class TextAdapter implements AutoCloseable {
  private final TextAdapterConfig config;
  private final DType dtype;
  private final TensorScope owner;
  private final FeedForward ff1;
  private final FeedForward ff2;
  private final LayerNorm norm1;
  private final LayerNorm norm2;

  private TextAdapter(TextAdapterConfig config, Weights weights, DType dtype, TensorScope owner) {
    this.config = config;
    this.dtype = dtype;
    this.owner = owner;
    ff1 = new FeedForward(weights.at("ff1"), config.inDim(), config.intDim());
    ff2 = new FeedForward(weights.at("ff2"), config.intDim(), config.outDim());
    norm1 = new LayerNorm(weights.at("norm1"), config.inDim());
    norm2 = new LayerNorm(weights.at("norm2"), config.intDim());
  }

  /**
   * @throws LongAlignException listing every tensor of the source that is missing, unexpected or of
   *     another shape
   */
  public static TextAdapter load(
      TextAdapterConfig config, WeightSource source, Backend backend, DType dtype) {
    return Weights.load(
        source,
        backend,
        dtype,
        LayerBranches.NONE,
        (weights, owner) -> new TextAdapter(config, weights, dtype, owner));
  }

  /** Every layer that such an adapter has. */
  public static List<LayerSpec> layers(TextAdapterConfig config) {
    return Weights.declare(weights -> new TextAdapter(config, weights, null, null));
  }

  public TextAdapterConfig config() {
    return config;
  }

  /** {@code [B, L, inDim] -> [B, L, outDim]}, of the same type. */
  public Tensor forward(Tensor hiddenStates) {
    if (hiddenStates.shape().rank() < 2 || hiddenStates.dim(-1) != config.inDim()) {
      throw new LongAlignException(
          "TextAdapter: expected [B, L, "
              + config.inDim()
              + "], found "
              + hiddenStates.shape()
              + " (hidden states of another T5?)");
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = hiddenStates.cast(dtype); // [B, L, in]
      x = ff1.forward(norm1.forward(x)); // [B, L, int]
      x = ff2.forward(norm2.forward(x)); // [B, L, out]
      return scope.keep(x.cast(hiddenStates.dtype()));
    }
  }

  /** Frees the weights. */
  @Override
  public void close() {
    owner.close();
  }
}
