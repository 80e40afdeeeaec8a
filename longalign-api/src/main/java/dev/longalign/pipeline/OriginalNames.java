package dev.longalign.pipeline;

import dev.longalign.model.OriginalUNetNames;
import java.util.Map;

/**
 * What the tensors of a Stable Diffusion 1.x are called where it was first trained, in
 * CompVis/stable-diffusion's {@code ldm/modules/diffusionmodules} ({@code openaimodel.py}, {@code
 * model.py}), by diffusers' names. Its decoder counts levels from the picture inwards.
 */
final class OriginalNames {
  private static final String UNET = "model.diffusion_model.";
  private static final String VAE = "first_stage_model.";
  private static final String TEXT = "cond_stage_model.transformer.";

  private static final Map<String, String> IN_VAE_ATTENTION =
      Map.of("group_norm", "norm", "to_q", "q", "to_k", "k", "to_v", "v", "to_out.0", "proj_out");

  private OriginalNames() {}

  /** Of a parameter of the UNet. */
  static String unet(String name, OriginalUNetNames names) {
    return UNET + names.of(name);
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
