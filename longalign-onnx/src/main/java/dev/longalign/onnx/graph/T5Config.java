package dev.longalign.onnx.graph;

import dev.longalign.io.Config;
import dev.longalign.io.Sizes;
import java.nio.file.Path;

/**
 * The sizes of a T5 encoder. Entries that a config.json leaves out have transformers' defaults.
 *
 * @param source the config.json, as messages name it
 * @param vocabSize rows of the token embedding
 * @param width of a hidden state (d_model)
 * @param headWidth of queries, keys and values (d_kv); heads * headWidth may differ from width
 * @param feedForward inner width of the feed-forward part (d_ff)
 * @param layers number of blocks
 * @param heads attention heads
 * @param buckets of relative distances, both directions together
 * @param maxDistance from which on all distances share a bucket
 * @param epsilon of every norm
 * @param activation transformers' name of the feed-forward's nonlinearity
 * @param gated whether the feed-forward part is a gated one (v1.1)
 */
public record T5Config(
    String source,
    int vocabSize,
    int width,
    int headWidth,
    int feedForward,
    int layers,
    int heads,
    int buckets,
    int maxDistance,
    float epsilon,
    String activation,
    boolean gated) {

  /** Reads the config.json of a T5 model, with or without its decoder. */
  public static T5Config read(Path file) {
    Config config = Config.read(file);
    String type = config.getString("model_type", "t5");
    if (!type.equals("t5") && !type.equals("mt5")) {
      throw config.refusal("model_type", "\"t5\" or \"mt5\" (is this another model's directory?)");
    }
    // "relu" is v1.0, "gated-gelu" v1.1, whose gelu is the tanh approximation.
    String projection =
        config.getString("feed_forward_proj", type.equals("t5") ? "relu" : "gated-gelu");
    boolean gated = projection.startsWith("gated-");
    String named =
        projection.equals("gated-gelu") ? "gelu_new" : projection.substring(gated ? 6 : 0);
    String activation = config.getString("dense_act_fn", named);
    if (!GraphOps.knowsActivation(activation)) {
      throw config.refusal(
          config.has("dense_act_fn") ? "dense_act_fn" : "feed_forward_proj",
          "relu, gelu, silu or one of them after \"gated-\"");
    }
    int buckets = Sizes.within(config, "relative_attention_num_buckets", 32, 4, 4096);
    int maxDistance = Sizes.atLeast(config, "relative_attention_max_distance", 128, 1);
    if (maxDistance <= buckets / 4) {
      throw config.refusal(
          "relative_attention_max_distance", "more than a quarter of " + buckets + " buckets");
    }
    return new T5Config(
        config.source(),
        Sizes.atLeast(config, "vocab_size", 32128, 1),
        Sizes.atLeast(config, "d_model", 512, 1),
        Sizes.atLeast(config, "d_kv", 64, 1),
        Sizes.atLeast(config, "d_ff", 2048, 1),
        Sizes.within(config, "num_layers", 6, 1, 1000),
        Sizes.atLeast(config, "num_heads", 8, 1),
        buckets,
        maxDistance,
        Sizes.positive(config, "layer_norm_epsilon", 1e-6f),
        activation,
        config.getBoolean("is_gated_act", gated));
  }
}
