package dev.longalign.onnx.graph;

import java.nio.file.Path;

/**
 * The sizes of a CLIP text tower. Entries that a config.json leaves out have transformers' defaults.
 *
 * @param file the config.json, for messages
 * @param vocabSize rows of the token embedding
 * @param width of a hidden state
 * @param feedForward inner width of the MLP
 * @param layers number of transformer layers
 * @param heads attention heads; divides {@code width}
 * @param maxPositions longest sequence
 * @param layerNormEpsilon of every layer norm
 * @param activation transformers' name of the MLP's nonlinearity
 * @param eosTokenId the token whose state is the pooled output; 2 stands, as in the oldest configs, for the largest id
 * @param projection width of a text feature
 */
public record ClipTextConfig(
    Path file,
    int vocabSize,
    int width,
    int feedForward,
    int layers,
    int heads,
    int maxPositions,
    float layerNormEpsilon,
    String activation,
    int eosTokenId,
    int projection) {

  /** Reads the config.json of a CLIPTextModel, or the text part of a CLIPModel's. */
  public static ClipTextConfig read(Path file) {
    ConfigFile root = ConfigFile.read(file);
    boolean both = root.has("text_config") || root.has("text_config_dict");
    ConfigFile text = both ? root.section("text_config", "text_config_dict") : root;
    String type = text.string("model_type", "clip_text_model");
    if (!type.equals("clip_text_model") && !type.equals("clip")) {
      throw text.wrong("model_type", "\"clip_text_model\" (is this another model's directory?)");
    }
    int width = text.integer("hidden_size", 512, 1);
    int heads = text.integer("num_attention_heads", 8, 1);
    if (width % heads != 0) {
      throw text.wrong("num_attention_heads", "a divisor of hidden_size = " + width);
    }
    String activation = text.string("hidden_act", "quick_gelu");
    if (!GraphOps.knowsActivation(activation)) {
      throw text.wrong("hidden_act", "quick_gelu, gelu, gelu_new, relu or silu");
    }
    ConfigFile projecting = both && root.has("projection_dim") ? root : text;
    return new ClipTextConfig(
        file,
        text.integer("vocab_size", 49408, 1),
        width,
        text.integer("intermediate_size", 2048, 1),
        text.integer("num_hidden_layers", 12, 0),
        heads,
        text.integer("max_position_embeddings", 77, 1),
        text.positive("layer_norm_eps", 1e-5f),
        activation,
        text.integer("eos_token_id", 49407, 0),
        projecting.integer("projection_dim", 512, 1));
  }
}
