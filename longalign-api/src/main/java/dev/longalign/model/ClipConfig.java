package dev.longalign.model;

import com.google.gson.JsonObject;
import dev.longalign.io.Config;
import dev.longalign.nn.Parameter;
import java.util.List;

/**
 * A CLIPModel: a text and a vision tower that end in one space.
 *
 * @param json the whole config.json, as it is written again
 */
public record ClipConfig(JsonObject json, ClipTextConfig text, ClipVisionConfig vision) {
  /** The learned logarithm of the scale of scores in training. */
  public static final String LOGIT_SCALE = "logit_scale";

  /** Reads a CLIPModel's config.json. */
  public static ClipConfig of(Config config) {
    if (!config.has("text_config") || !config.has("vision_config")) {
      throw config.refusal(
          config.has("text_config") ? "vision_config" : "text_config",
          "both towers of a CLIPModel");
    }
    ClipConfig clip =
        new ClipConfig(config.json(), ClipTextConfig.of(config), ClipVisionConfig.of(config));
    if (clip.text.projection() != clip.vision.projection()) {
      throw config.refusal("projection_dim", "one width for both towers");
    }
    return clip;
  }

  /** Width of a feature. */
  public int projection() {
    return text.projection();
  }

  /** Every parameter by transformers' name, in its order of registration. */
  public List<Parameter> parameters() {
    DeclaredParameters declared = new DeclaredParameters();
    declared.add(LOGIT_SCALE);
    declared.addAll(text.parameters());
    int width = vision.width();
    int patch = vision.patchSize();
    declared.add("vision_model.embeddings.class_embedding", width);
    declared.add(
        "vision_model.embeddings.patch_embedding.weight",
        width,
        ClipVisionConfig.CHANNELS,
        patch,
        patch);
    declared.add(
        "vision_model.embeddings.position_embedding.weight",
        (long) vision.grid() * vision.grid() + 1,
        width);
    declared.affine("vision_model.pre_layrnorm", width); // transformers' spelling
    declared.layers("vision_model", vision.layers(), width, vision.feedForward());
    declared.affine("vision_model.post_layernorm", width);
    declared.add("visual_projection.weight", projection(), width);
    declared.add("text_projection.weight", projection(), text.width());
    return declared.all();
  }
}
