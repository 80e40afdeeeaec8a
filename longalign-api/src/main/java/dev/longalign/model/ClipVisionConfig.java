package dev.longalign.model;

import dev.longalign.io.Config;
import dev.longalign.io.Sizes;
import java.nio.file.Path;

/**
 * The sizes of a CLIP vision tower. Entries that a config.json leaves out have transformers'
 * defaults.
 *
 * @param source the config.json, as messages name it
 * @param width of a hidden state
 * @param feedForward inner width of the MLP
 * @param layers number of transformer layers
 * @param heads attention heads; divides {@code width}
 * @param imageSize height and width of the pictures it reads
 * @param patchSize height and width of a patch; what remains at the right and the bottom is not
 *     read
 * @param layerNormEpsilon of every layer norm
 * @param activation transformers' name of the MLP's nonlinearity
 * @param projection width of an image feature
 */
public record ClipVisionConfig(
    String source,
    int width,
    int feedForward,
    int layers,
    int heads,
    int imageSize,
    int patchSize,
    float layerNormEpsilon,
    String activation,
    int projection) {

  /** Channels of a picture. */
  public static final int CHANNELS = 3;

  /** Reads the vision part of a CLIPModel's config.json, or that of a vision tower alone. */
  public static ClipVisionConfig read(Path file) {
    return of(Config.read(file));
  }

  /** {@link #read} of what was read before. */
  public static ClipVisionConfig of(Config root) {
    boolean both = root.has("vision_config") || root.has("vision_config_dict");
    Config vision = both ? ClipConfigs.part(root, "vision_config") : root;
    String type = vision.getString("model_type", "clip_vision_model");
    if (!type.equals("clip_vision_model") && !type.equals("clip")) {
      throw vision.refusal("model_type", "\"clip_vision_model\" (is this another model?)");
    }
    if (vision.getInt("num_channels", CHANNELS) != CHANNELS) {
      throw vision.refusal("num_channels", "3: red, green, blue");
    }
    int width = Sizes.atLeast(vision, "hidden_size", 768, 1);
    int heads = Sizes.atLeast(vision, "num_attention_heads", 12, 1);
    if (width % heads != 0) {
      throw vision.refusal("num_attention_heads", "a divisor of hidden_size = " + width);
    }
    int patchSize = Sizes.atLeast(vision, "patch_size", 32, 1);
    Config projecting = both && root.has("projection_dim") ? root : vision;
    return new ClipVisionConfig(
        root.source(),
        width,
        Sizes.atLeast(vision, "intermediate_size", 3072, 1),
        Sizes.within(vision, "num_hidden_layers", 12, 0, 1000),
        heads,
        Sizes.atLeast(vision, "image_size", 224, patchSize),
        patchSize,
        Sizes.positive(vision, "layer_norm_eps", 1e-5f),
        ClipConfigs.activation(vision),
        Sizes.atLeast(projecting, "projection_dim", 512, 1));
  }

  /** Patches along one side. */
  public int grid() {
    return imageSize / patchSize;
  }
}
