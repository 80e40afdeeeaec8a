package dev.longalign.model;

import dev.longalign.io.Config;
import dev.longalign.io.Sizes;
import dev.longalign.nn.Parameter;
import java.nio.file.Path;
import java.util.List;

/**
 * The sizes of a CLIP text tower. Entries that a config.json leaves out have transformers'
 * defaults.
 *
 * @param source the config.json, as messages name it
 * @param vocabSize rows of the token embedding
 * @param width of a hidden state
 * @param feedForward inner width of the MLP
 * @param layers number of transformer layers
 * @param heads attention heads; divides {@code width}
 * @param maxPositions longest sequence
 * @param layerNormEpsilon of every layer norm
 * @param activation transformers' name of the MLP's nonlinearity
 * @param eosTokenId the token whose state is the pooled output; 2 stands, as in the oldest configs,
 *     for the largest id
 * @param projection width of a text feature
 */
public record ClipTextConfig(
    String source,
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
    return of(Config.read(file));
  }

  /** {@link #read} of what was read before. */
  public static ClipTextConfig of(Config root) {
    boolean both = root.has("text_config") || root.has("text_config_dict");
    Config text = both ? ClipConfigs.part(root, "text_config") : root;
    String type = text.getString("model_type", "clip_text_model");
    if (!type.equals("clip_text_model") && !type.equals("clip")) {
      throw text.refusal("model_type", "\"clip_text_model\" (is this another model's directory?)");
    }
    int width = Sizes.atLeast(text, "hidden_size", 512, 1);
    int heads = Sizes.atLeast(text, "num_attention_heads", 8, 1);
    if (width % heads != 0) {
      throw text.refusal("num_attention_heads", "a divisor of hidden_size = " + width);
    }
    Config projecting = both && root.has("projection_dim") ? root : text;
    return new ClipTextConfig(
        root.source(),
        Sizes.atLeast(text, "vocab_size", 49408, 1),
        width,
        Sizes.atLeast(text, "intermediate_size", 2048, 1),
        Sizes.within(text, "num_hidden_layers", 12, 0, 1000),
        heads,
        Sizes.atLeast(text, "max_position_embeddings", 77, 1),
        Sizes.positive(text, "layer_norm_eps", 1e-5f),
        ClipConfigs.activation(text),
        Sizes.atLeast(text, "eos_token_id", 49407, 0),
        Sizes.atLeast(projecting, "projection_dim", 512, 1));
  }

  /** Every parameter of a CLIPTextModel by transformers' name. */
  public List<Parameter> parameters() {
    DeclaredParameters declared = new DeclaredParameters();
    declared.add("text_model.embeddings.token_embedding.weight", vocabSize, width);
    declared.add("text_model.embeddings.position_embedding.weight", maxPositions, width);
    declared.layers("text_model", layers, width, feedForward);
    declared.affine("text_model.final_layer_norm", width);
    return declared.all();
  }
}
