package dev.longalign.model;

import com.google.gson.JsonObject;
import dev.longalign.io.Config;
import java.util.Set;

/** What the configs of CLIP's two towers have in common. */
final class ClipConfigs {
  private static final Set<String> ACTIVATIONS =
      Set.of("quick_gelu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish");

  private ClipConfigs() {}

  /**
   * The part of a CLIPModel's config that is one tower's. Old files have the entries twice;
   * transformers lets those of {@code KEY_dict} win.
   */
  static Config part(Config root, String key) {
    JsonObject merged = new JsonObject();
    for (String name : new String[] {key, key + "_dict"}) {
      if (root.has(name)) {
        root.getConfig(name)
            .json()
            .entrySet()
            .forEach(entry -> merged.add(entry.getKey(), entry.getValue()));
      }
    }
    return Config.of(root.source() + ": '" + key + "'", merged);
  }

  static String activation(Config tower) {
    String activation = tower.getString("hidden_act", "quick_gelu");
    if (!ACTIVATIONS.contains(activation)) {
      throw tower.refusal("hidden_act", "quick_gelu, gelu, gelu_new, relu or silu");
    }
    return activation;
  }
}
