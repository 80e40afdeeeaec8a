package dev.longalign.onnx.graph;

import dev.longalign.io.TensorFile;
import dev.longalign.model.ClipTextConfig;
import dev.longalign.tensor.DType;

/**
 * CLIP's text tower (Radford et al. 2021, section 2.4): token and position embeddings, pre-norm
 * transformer layers under a causal mask, final layer norm. There is no padding mask: what is
 * attended to is decided by position alone.
 */
public final class ClipTextGraph {
  /** Name of the only input: i64 [batch, length]. */
  public static final String INPUT = "input_ids";

  /** Name of the only output. */
  public static final String OUTPUT = "output";

  /** What the graph yields. */
  public enum Result {
    /** [batch, length, width], after the final norm. */
    HIDDEN_STATES,
    /** [batch, width]: the state at the end of the text. */
    POOLED,
    /** [batch, projection]: the pooled state in the space shared with pictures, not normalised. */
    PROJECTED
  }

  private final ClipTextConfig config;
  private final OnnxGraph graph = new OnnxGraph("clip_text");
  private final GraphOps ops = new GraphOps(graph);

  private ClipTextGraph(ClipTextConfig config) {
    this.config = config;
  }

  /**
   * Builds the graph over a checkpoint whose names may begin with {@code text_model.} or lack that
   * part.
   */
  public static OnnxGraph build(ClipTextConfig config, TensorFile source, Result result) {
    ClipTextGraph builder = new ClipTextGraph(config);
    builder.build(source, result);
    return builder.graph;
  }

  private void build(TensorFile source, Result result) {
    GraphWeights weights = new GraphWeights(graph, source);
    GraphWeights tower =
        weights.has("embeddings.token_embedding.weight") ? weights : weights.in("text_model");
    long width = config.width();
    ClipLayers layers =
        new ClipLayers(
            ops,
            config.width(),
            config.feedForward(),
            config.heads(),
            config.layerNormEpsilon(),
            config.activation());

    Value ids = graph.input(INPUT, DType.I64, "batch", "length");
    Value length = ops.extent(ids, 1);
    Value splitShape = ops.shapeThen(ids, config.heads(), width / config.heads());

    // 1. embeddings, then one row per token so that every linear layer is a plain matrix product
    GraphWeights embeddings = tower.in("embeddings");
    Value tokens = embeddings.in("token_embedding").rows("weight", ids, config.vocabSize(), width);
    Value positions =
        embeddings.in("position_embedding").at("weight", config.maxPositions(), width);
    Value embedded = ops.add(tokens, ops.head(positions, length)); // [batch, length, width]
    Value x = ops.reshape(embedded, ops.ints(-1, width)); // [rows, width]

    // 2. layers
    Value mask = ops.causalBias(length);
    for (int i = 0; i < config.layers(); i++) {
      x = layers.forward(tower.in("encoder.layers." + i), x, splitShape, mask);
    }

    tower.warnOfMore("encoder.layers." + config.layers() + ".layer_norm1.weight", config.source());

    // 3. final norm
    x = layers.norm(tower.in("final_layer_norm"), x);
    Value hidden = ops.reshape(x, ops.shapeThen(ids, width));
    switch (result) {
      case HIDDEN_STATES -> graph.output(OUTPUT, hidden, "batch", "length", Long.toString(width));
      case POOLED -> graph.output(OUTPUT, pooled(ids, hidden), "batch", Long.toString(width));
      case PROJECTED -> {
        Value projection = weights.in("text_projection").at("weight", config.projection(), width);
        Value features = ops.linear(pooled(ids, hidden), projection, null);
        graph.output(OUTPUT, features, "batch", Integer.toString(config.projection()));
      }
    }
    weights.check(config.source());
  }

  /**
   * The state at the end of text: the first eos, or the largest id where the config still has
   * CLIP's old eos 2.
   */
  private Value pooled(Value ids, Value hidden) {
    Value key = config.eosTokenId() == 2 ? ids : ops.equal(ids, ops.ints(config.eosTokenId()));
    return ops.gatherPerBatch(hidden, ops.argMax(ops.cast(key, DType.I32)));
  }
}
