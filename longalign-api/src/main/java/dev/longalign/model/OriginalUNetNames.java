package dev.longalign.model;

import dev.longalign.nn.LayerSpec;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What the parameters of a UNet are called where Stable Diffusion 1.x was first trained, in
 * CompVis/stable-diffusion's {@code ldm/modules/diffusionmodules/openaimodel.py}, by diffusers'
 * names. The layers of all levels are counted through.
 */
public final class OriginalUNetNames {
  private static final Map<String, String> OUTSIDE_OF_BLOCKS =
      Map.of(
          "time_embedding.linear_1", "time_embed.0",
          "time_embedding.linear_2", "time_embed.2",
          "conv_in", "input_blocks.0.0",
          "conv_norm_out", "out.0",
          "conv_out", "out.2");

  private static final Map<String, String> IN_RESNETS =
      Map.of(
          "norm1", "in_layers.0",
          "conv1", "in_layers.2",
          "time_emb_proj", "emb_layers.1",
          "norm2", "out_layers.0",
          "conv2", "out_layers.3",
          "conv_shortcut", "skip_connection");

  /** By block ({@code down_blocks.0}), how many residual blocks it has. */
  private final Map<String, Integer> resnets = new HashMap<>();

  private final Set<String> attention = new HashSet<>();

  private OriginalUNetNames() {}

  /**
   * @param layers of a UNet, see {@link UNet2DCondition#layers}
   */
  public static OriginalUNetNames of(List<LayerSpec> layers) {
    OriginalUNetNames names = new OriginalUNetNames();
    for (LayerSpec layer : layers) {
      String[] parts = layer.path().split("\\.");
      int kind = parts[0].equals("mid_block") ? 1 : 2;
      if (parts.length > kind + 1) {
        String block = kind == 1 ? parts[0] : parts[0] + "." + parts[1];
        if (parts[kind].equals("resnets")) {
          names.resnets.merge(block, 1 + Integer.parseInt(parts[kind + 1]), Math::max);
        } else if (parts[kind].equals("attentions")) {
          names.attention.add(block);
        }
      }
    }
    return names;
  }

  /** The original name of a parameter; without a prefix for the model. */
  public String of(String parameter) {
    String[] parts = parameter.split("\\.", 5);
    return switch (parts[0]) {
      case "down_blocks" -> down(parts);
      case "up_blocks" -> up(parts);
      case "mid_block" -> mid(parameter.split("\\.", 4));
      default -> replaced(OUTSIDE_OF_BLOCKS, parameter);
    };
  }

  /** Layers of a block with its down- or upsampler, which on the way down is one of its own. */
  private int before(String side, int block, int samplers) {
    int layers = 0;
    for (int i = 0; i < block; i++) {
      layers += resnets.get(side + "." + i) + samplers;
    }
    return layers;
  }

  /**
   * @param parts down_blocks, level, kind, number, the rest
   */
  private String down(String[] parts) {
    int level = Integer.parseInt(parts[1]);
    int layer = 1 + before(parts[0], level, 1) + Integer.parseInt(parts[3]);
    return switch (parts[2]) {
      case "resnets" -> "input_blocks." + layer + ".0." + replaced(IN_RESNETS, parts[4]);
      case "attentions" -> "input_blocks." + layer + ".1." + parts[4];
      default -> // the only downsampler, after all layers
          "input_blocks."
              + (layer + resnets.get(parts[0] + "." + level))
              + ".0.op"
              + parts[4].substring("conv".length());
    };
  }

  private String up(String[] parts) {
    String block = parts[0] + "." + parts[1];
    int layer = before(parts[0], Integer.parseInt(parts[1]), 0) + Integer.parseInt(parts[3]);
    return switch (parts[2]) {
      case "resnets" -> "output_blocks." + layer + ".0." + replaced(IN_RESNETS, parts[4]);
      case "attentions" -> "output_blocks." + layer + ".1." + parts[4];
      default -> // the upsampler follows in the last layer
          "output_blocks."
              + (layer + resnets.get(block) - 1)
              + (attention.contains(block) ? ".2." : ".1.")
              + parts[4];
    };
  }

  /**
   * @param parts mid_block, kind, number, the rest
   */
  private String mid(String[] parts) {
    int number = Integer.parseInt(parts[2]);
    return parts[1].equals("attentions")
        ? "middle_block.1." + parts[3]
        : "middle_block."
            + (attention.contains(parts[0]) ? 2 * number : number)
            + "."
            + replaced(IN_RESNETS, parts[3]);
  }

  /** {@code name} with its module, which is all but the last part, replaced. */
  private static String replaced(Map<String, String> modules, String name) {
    int end = name.lastIndexOf('.');
    return modules.get(name.substring(0, end)) + name.substring(end);
  }
}
