package dev.longalign.model;

import com.google.gson.JsonObject;
import dev.longalign.io.Config;
import dev.longalign.nn.Parameter;
import dev.longalign.tensor.Shape;
import java.util.ArrayList;
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
    Declared declared = new Declared(new ArrayList<>());
    declared.add(LOGIT_SCALE);
    declared.add("text_model.embeddings.token_embedding.weight", text.vocabSize(), text.width());
    declared.add(
        "text_model.embeddings.position_embedding.weight", text.maxPositions(), text.width());
    declared.layers("text_model", text.layers(), text.width(), text.feedForward());
    declared.affine("text_model.final_layer_norm", text.width());
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
    return declared.all;
  }

  private record Declared(List<Parameter> all) {
    void add(String name, long... dims) {
      Shape shape = Shape.of(dims);
      int fanIn = dims.length < 2 ? 0 : Math.toIntExact(shape.size() / dims[0]);
      all.add(new Parameter(name, shape, fanIn));
    }

    void affine(String module, long width) {
      add(module + ".weight", width);
      add(module + ".bias", width);
    }

    void linear(String module, long in, long out) {
      add(module + ".weight", out, in);
      add(module + ".bias", out);
    }

    void layers(String tower, int count, long width, long feedForward) {
      for (int i = 0; i < count; i++) {
        String layer = tower + ".encoder.layers." + i;
        for (String projection : new String[] {"k_proj", "v_proj", "q_proj", "out_proj"}) {
          linear(layer + ".self_attn." + projection, width, width);
        }
        affine(layer + ".layer_norm1", width);
        linear(layer + ".mlp.fc1", width, feedForward);
        linear(layer + ".mlp.fc2", feedForward, width);
        affine(layer + ".layer_norm2", width);
      }
    }
  }
}
