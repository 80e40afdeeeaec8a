package dev.longalign.onnx;

import com.google.gson.JsonElement;
import dev.longalign.io.Config;
import java.util.Map;
import java.util.Set;

/**
 * One tower of {@code open_clip_config.json}, with open_clip's defaults for what it leaves out;
 * keys that change what the tower computes to something that is not computed here are refused.
 *
 * @param config the tower's part; null where there is no file
 * @param quickGelu whether the model has OpenAI's nonlinearity
 */
record OpenClipConfig(Config config, boolean quickGelu) {

  /** Sizes that the tensors tell themselves, and what does not change a feature. */
  private static final Set<String> READ =
      Set.of(
          "width",
          "layers",
          "heads",
          "head_width",
          "mlp_ratio",
          "patch_size",
          "image_size",
          "context_length",
          "vocab_size",
          "act_kwargs",
          "norm_kwargs",
          "ls_init_value",
          // Normalising all states and taking one, or taking one and normalising it, is the same.
          "final_ln_after_pool",
          "patch_dropout",
          "pad_id",
          "eos_id",
          "attn_pooler_queries",
          "attn_pooler_heads",
          "timm_model_pretrained",
          "timm_pool",
          "timm_proj",
          "timm_proj_bias",
          "timm_drop",
          "timm_drop_path",
          "hf_model_pretrained",
          "hf_proj_type",
          "hf_pooler_type");

  /** Keys with one value that is computed. */
  private static final Map<String, String> ONLY =
      Map.of("pos_embed_type", "learnable", "proj_type", "linear", "block_type", "default");

  private static final Set<String> MODEL_KEYS =
      Set.of(
          "embed_dim",
          "vision_cfg",
          "text_cfg",
          "quick_gelu",
          "custom_text",
          "init_logit_scale",
          "init_logit_bias",
          "nonscalar_logit_scale",
          "cast_dtype");

  /** The text tower's part, whose state at the largest id is taken. */
  static OpenClipConfig text(Config root) {
    return of(root, "text_cfg", "argmax");
  }

  /** The vision tower's part, whose class token is taken. */
  static OpenClipConfig vision(Config root) {
    return of(root, "vision_cfg", "tok");
  }

  private static OpenClipConfig of(Config root, String key, String pool) {
    if (!root.has("model_cfg")) {
      return new OpenClipConfig(null, false);
    }
    Config model = root.getConfig("model_cfg");
    for (String name : model.keys()) {
      if (!MODEL_KEYS.contains(name) && isOn(model, name)) {
        throw model.refusal(name, "a CLIP of two transformers, nothing else");
      }
    }
    Config tower = model.getConfig(key);
    for (String name : tower.keys()) {
      boolean fits =
          READ.contains(name)
              || !isOn(tower, name)
              || name.equals("pool_type") && tower.getString(name).equals(pool)
              || ONLY.containsKey(name) && tower.getString(name).equals(ONLY.get(name));
      if (!fits) {
        throw tower.refusal(
            name,
            name.equals("pool_type")
                ? pool
                : ONLY.containsKey(name) ? ONLY.get(name) : "nothing: it is not computed here");
      }
    }
    return new OpenClipConfig(tower, model.getBoolean("quick_gelu", false));
  }

  /** Whether a key is there with a value that says more than "no". */
  private static boolean isOn(Config config, String key) {
    if (!config.has(key)) {
      return false;
    }
    JsonElement value = config.json().get(key);
    return !(value.isJsonPrimitive() && Set.of("false", "0", "").contains(value.getAsString())
        || value.isJsonObject() && value.getAsJsonObject().isEmpty());
  }

  boolean exists() {
    return config != null;
  }

  /** A number of the config that must be what the tensors say. */
  int agreeing(String key, int found) {
    if (exists() && config.has(key) && config.getInt(key) != found) {
      throw config.refusal(key, found + ", as the tensors have it");
    }
    return found;
  }

  String activation() {
    if (!exists() || !isOn(config, "act_kwargs")) {
      return quickGelu ? "quick_gelu" : "gelu";
    }
    Config arguments = config.getConfig("act_kwargs");
    String approximate = arguments.getString("approximate", "none");
    if (quickGelu
        || !arguments.keys().equals(Set.of("approximate"))
        || !Set.of("none", "tanh").contains(approximate)) {
      throw config.refusal("act_kwargs", "approximate = none or tanh, without quick_gelu");
    }
    return approximate.equals("tanh") ? "gelu_pytorch_tanh" : "gelu";
  }

  float epsilon() {
    if (!exists() || !isOn(config, "norm_kwargs")) {
      return 1e-5f;
    }
    Config arguments = config.getConfig("norm_kwargs");
    if (!arguments.keys().equals(Set.of("eps")) || !(arguments.getFloat("eps") > 0)) {
      throw config.refusal("norm_kwargs", "a positive eps alone");
    }
    return arguments.getFloat("eps");
  }
}
