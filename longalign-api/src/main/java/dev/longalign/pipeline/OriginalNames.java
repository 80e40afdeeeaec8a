package dev.longalign.pipeline;

import dev.longalign.model.UNet2DConditionConfig;
import java.util.Map;

/**
 * What the tensors of a Stable Diffusion 1.x are called where it was first trained, in
 * CompVis/stable-diffusion's {@code ldm/modules/diffusionmodules} ({@code openaimodel.py}, {@code
 * model.py}), by diffusers' names. Its UNet counts the layers of all levels through; its decoder
 * counts levels from the picture inwards.
 */
final class OriginalNames {
  private static final String UNET = "model.diffusion_model.";
  private static final String VAE = "first_stage_model.";
  private static final String TEXT = "cond_stage_model.transformer.";

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

  private static final Map<String, String> IN_VAE_ATTENTION =
      Map.of("group_norm", "norm", "to_q", "q", "to_k", "k", "to_v", "v", "to_out.0", "proj_out");

  private OriginalNames() {}

  /** Of a parameter of the UNet. */
  static String unet(String name, UNet2DConditionConfig config) {
    String[] parts = name.split("\\.", 5);
    return UNET
        + switch (parts[0]) {
          case "down_blocks" -> down(parts, config);
          case "up_blocks" -> up(parts, config);
          case "mid_block" -> mid(name.split("\\.", 4), config);
          default -> replaced(OUTSIDE_OF_BLOCKS, name);
        };
  }

  /**
   * @param parts down_blocks, level, kind, number, the rest
   */
  private static String down(String[] parts, UNet2DConditionConfig config) {
    int level = Integer.parseInt(parts[1]);
    int layer = 1 + Integer.parseInt(parts[3]);
    for (int outer = 0; outer < level; outer++) {
      layer += config.levels().get(outer).layers() + 1; // its downsampler
    }
    return switch (parts[2]) {
      case "resnets" -> "input_blocks." + layer + ".0." + replaced(IN_RESNETS, parts[4]);
      case "attentions" -> "input_blocks." + layer + ".1." + parts[4];
      default -> // the only downsampler, after all layers
          "input_blocks."
              + (layer + config.levels().get(level).layers())
              + ".0.op"
              + parts[4].substring("conv".length());
    };
  }

  private static String up(String[] parts, UNet2DConditionConfig config) {
    int block = Integer.parseInt(parts[1]);
    int innermost = config.levels().size() - 1;
    int layer = Integer.parseInt(parts[3]);
    for (int before = 0; before < block; before++) {
      layer += config.levels().get(innermost - before).layers() + 1;
    }
    int level = innermost - block;
    return switch (parts[2]) {
      case "resnets" -> "output_blocks." + layer + ".0." + replaced(IN_RESNETS, parts[4]);
      case "attentions" -> "output_blocks." + layer + ".1." + parts[4];
      default -> // the upsampler follows in the last layer
          "output_blocks."
              + (layer + config.levels().get(level).layers())
              + (config.upAttention().get(level) ? ".2." : ".1.")
              + parts[4];
    };
  }

  /**
   * @param parts mid_block, kind, number, the rest
   */
  private static String mid(String[] parts, UNet2DConditionConfig config) {
    int number = Integer.parseInt(parts[2]);
    return parts[1].equals("attentions")
        ? "middle_block.1." + parts[3]
        : "middle_block."
            + (config.mid().attention() ? 2 * number : number)
            + "."
            + replaced(IN_RESNETS, parts[3]);
  }

  /**
   * Of a parameter of the autoencoder.
   *
   * @param levels how many block_out_channels there are
   */
  static String vae(String name, int levels) {
    String[] parts = name.split("\\.", 6);
    if (parts.length < 3) {
      return VAE + name; // quant_conv, post_quant_conv
    }
    String rest =
        switch (parts[1]) {
          case "down_blocks" -> "down." + parts[2] + "." + inVaeLevel(parts);
          case "up_blocks" ->
              "up." + (levels - 1 - Integer.parseInt(parts[2])) + "." + inVaeLevel(parts);
          case "mid_block" -> inVaeMiddle(name.split("\\.", 5));
          case "conv_norm_out" -> "norm_out." + parts[2];
          default -> parts[1] + "." + parts[2];
        };
    return VAE + parts[0] + "." + rest;
  }

  /**
   * @param parts encoder or decoder, blocks, level, kind, number, the rest
   */
  private static String inVaeLevel(String[] parts) {
    return switch (parts[3]) {
      case "resnets" -> "block." + parts[4] + "." + inVaeResnet(parts[5]);
      case "downsamplers" -> "downsample." + parts[5];
      default -> "upsample." + parts[5];
    };
  }

  /**
   * @param parts encoder or decoder, mid_block, kind, number, the rest
   */
  private static String inVaeMiddle(String[] parts) {
    return parts[2].equals("attentions")
        ? "mid.attn_1." + replaced(IN_VAE_ATTENTION, parts[4])
        : "mid.block_" + (Integer.parseInt(parts[3]) + 1) + "." + inVaeResnet(parts[4]);
  }

  private static String inVaeResnet(String rest) {
    return rest.replace("conv_shortcut", "nin_shortcut");
  }

  /** Of a parameter of the text encoder. */
  static String text(String name) {
    return TEXT + name;
  }

  /** The same as newer transformers wrote it, without a level. */
  static String flatText(String name) {
    return TEXT + name.substring("text_model.".length());
  }

  /** {@code name} with its module, which is all but the last part, replaced. */
  private static String replaced(Map<String, String> modules, String name) {
    int end = name.lastIndexOf('.');
    return modules.get(name.substring(0, end)) + name.substring(end);
  }
}
