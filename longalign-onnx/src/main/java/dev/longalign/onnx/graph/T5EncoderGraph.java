package dev.longalign.onnx.graph;

import dev.longalign.io.TensorFile;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;

/**
 * T5's encoder (Raffel et al. 2020, section 2.1): no position embeddings but a bias by relative
 * distance that the first block owns and all share, RMS norms, attention without scaling, no
 * biases. No padding mask: padding is attended to.
 */
public final class T5EncoderGraph {
  /** Name of the only input: i64 [batch, length]. */
  public static final String INPUT = "input_ids";

  /** Name of the only output: [batch, length, width], after the final norm. */
  public static final String OUTPUT = "output";

  private final T5Config config;
  private final OnnxGraph graph = new OnnxGraph("t5_encoder");
  private final GraphOps ops = new GraphOps(graph);

  private T5EncoderGraph(T5Config config) {
    this.config = config;
  }

  /** Builds the graph over a checkpoint, whose decoder, if there, is not read. */
  public static OnnxGraph build(T5Config config, TensorFile source) {
    T5EncoderGraph builder = new T5EncoderGraph(config);
    builder.build(source);
    return builder.graph;
  }

  private void build(TensorFile source) {
    GraphWeights weights = new GraphWeights(graph, source);
    GraphWeights encoder = weights.in("encoder");
    long width = config.width();

    Value ids = graph.input(INPUT, DType.I64, "batch", "length");
    Value splitShape = ops.shapeThen(ids, config.heads(), config.headWidth());

    // 1. embeddings, one row per token
    String table = weights.has("shared.weight") ? "shared.weight" : "encoder.embed_tokens.weight";
    Value embedded = weights.rows(table, ids, config.vocabSize(), width); // [batch, length, width]
    Value x = ops.reshape(embedded, ops.ints(-1, width)); // [rows, width]

    // 2. blocks
    Value bias =
        positionBias(encoder.in("block.0.layer.0.SelfAttention.relative_attention_bias"), ids);
    for (int i = 0; i < config.layers(); i++) {
      x = block(encoder.in("block." + i), x, splitShape, bias);
    }

    encoder.warnOfMore("block." + config.layers() + ".layer.0.layer_norm.weight", config.source());

    // 3. final norm
    x = norm(encoder.in("final_layer_norm"), x);
    Value hidden = ops.reshape(x, ops.shapeThen(ids, width));
    graph.output(OUTPUT, hidden, "batch", "length", Long.toString(width));
    weights.check(config.source());
  }

  private Value block(GraphWeights block, Value x, Value splitShape, Value bias) {
    GraphWeights self = block.in("layer.0.SelfAttention");
    long inner = (long) config.heads() * config.headWidth();
    Value h = norm(block.in("layer.0.layer_norm"), x);
    Value q = linear(self.in("q"), h, config.width(), inner);
    Value k = linear(self.in("k"), h, config.width(), inner);
    Value v = linear(self.in("v"), h, config.width(), inner);
    Value attended = ops.attention(q, k, v, splitShape, inner, bias);
    x = ops.add(x, linear(self.in("o"), attended, inner, config.width()));

    GraphWeights feedForward = block.in("layer.1.DenseReluDense");
    h = norm(block.in("layer.1.layer_norm"), x);
    if (config.gated()) {
      Value gate = ops.activation(config.activation(), up(feedForward.in("wi_0"), h));
      h = ops.mul(gate, up(feedForward.in("wi_1"), h));
    } else {
      h = ops.activation(config.activation(), up(feedForward.in("wi"), h));
    }
    return ops.add(x, linear(feedForward.in("wo"), h, config.feedForward(), config.width()));
  }

  private Value up(GraphWeights module, Value x) {
    return linear(module, x, config.width(), config.feedForward());
  }

  private Value linear(GraphWeights module, Value x, long in, long out) {
    return ops.linear(x, module.at("weight", out, in), null);
  }

  private Value norm(GraphWeights module, Value x) {
    return ops.rmsNorm(x, module.at("weight", config.width()), config.epsilon());
  }

  /**
   * [1, heads, length, length], for any length: distances beyond the maximum all look up the
   * outermost entries.
   */
  private Value positionBias(GraphWeights module, Value ids) {
    Value table = module.at("weight", config.buckets(), config.heads());
    Value positions = ops.range(ops.extent(ids, 1));
    Value distance =
        ops.sub(ops.unsqueeze(positions, 0), ops.unsqueeze(positions, 1)); // key - query
    Shape scalar = Shape.of();
    long far = config.maxDistance();
    Value near = ops.clip(distance, graph.constant(scalar, -far), graph.constant(scalar, far));
    long[] buckets = buckets(config.buckets(), config.maxDistance());
    Value byDistance = graph.constant(Shape.of(buckets.length), buckets);
    Value bucket =
        ops.gather(byDistance, ops.add(near, graph.constant(scalar, far))); // [length, length]
    return ops.unsqueeze(ops.transpose(ops.gather(table, bucket), 2, 0, 1), 0);
  }

  /**
   * The bucket of each distance from -maxDistance to maxDistance: half of the buckets for keys
   * after the query; in each half one bucket per distance for the first half of it, then
   * logarithmically wider ones.
   */
  static long[] buckets(int count, int maxDistance) {
    int half = count / 2;
    int exact = half / 2;
    // In f32 as the checkpoints were trained: a distance on a bucket's edge may fall to either
    // side.
    float span = (float) Math.log((double) maxDistance / exact);
    long[] buckets = new long[2 * maxDistance + 1];
    for (int distance = 0; distance <= maxDistance; distance++) {
      long bucket = distance;
      if (distance >= exact) {
        float wide = (float) Math.log((float) distance / exact) / span * (half - exact);
        bucket = Math.min(exact + (long) wide, half - 1L);
      }
      buckets[maxDistance - distance] = bucket;
      if (distance > 0) {
        buckets[maxDistance + distance] = half + bucket;
      }
    }
    return buckets;
  }
}
