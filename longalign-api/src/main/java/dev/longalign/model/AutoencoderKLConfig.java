package dev.longalign.model;

import dev.longalign.io.Config;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * {@code vae/config.json} of an AutoencoderKL, with the defaults of diffusers for what is absent.
 * What the file asks for and this library cannot do is refused by name.
 *
 * @param blockOutChannels from the picture to the latents; each but the first halves the size
 * @param sampleSize side of the pictures it was trained on: the side of a tile
 * @param scalingFactor latents of the diffusion model = this * (latents of the autoencoder -
 *     shiftFactor)
 */
public record AutoencoderKLConfig(
    int inChannels,
    int outChannels,
    int latentChannels,
    List<Integer> blockOutChannels,
    int layersPerBlock,
    int normNumGroups,
    int sampleSize,
    float scalingFactor,
    float shiftFactor,
    boolean useQuantConv,
    boolean usePostQuantConv,
    boolean midBlockAddAttention) {

  public AutoencoderKLConfig {
    blockOutChannels = List.copyOf(blockOutChannels);
  }

  /** Reads a config as diffusers writes it. */
  public static AutoencoderKLConfig of(Config config) {
    Configs.expectOneOf(config, "act_fn", "silu", "swish");
    Configs.expectAll(config, "down_block_types", "DownEncoderBlock2D");
    Configs.expectAll(config, "up_block_types", "UpDecoderBlock2D");
    Configs.expectAbsent(config, "latents_mean", "latents_std");
    List<Integer> channels = config.getIntList("block_out_channels", List.of(64));
    int groups = config.getInt("norm_num_groups", 32);
    if (channels.isEmpty()
        || groups < 1
        || channels.stream().anyMatch(c -> c < 1 || c % groups != 0)) {
      throw config.refusal("block_out_channels", "multiples of norm_num_groups " + groups);
    }
    for (String key : List.of("down_block_types", "up_block_types")) {
      if (config.has(key) && config.getStringList(key).size() != channels.size()) {
        throw config.refusal(key, channels.size() + " types, one for each of block_out_channels");
      }
    }
    return new AutoencoderKLConfig(
        config.getInt("in_channels", 3),
        config.getInt("out_channels", 3),
        config.getInt("latent_channels", 4),
        channels,
        config.getInt("layers_per_block", 1),
        groups,
        sampleSize(config),
        config.getFloat("scaling_factor", 0.18215f),
        config.getFloat("shift_factor", 0),
        config.getBoolean("use_quant_conv", true),
        config.getBoolean("use_post_quant_conv", true),
        config.getBoolean("mid_block_add_attention", true));
  }

  /** Stable Diffusion 1.5. */
  public static AutoencoderKLConfig stableDiffusion15() {
    return of(
        Config.parse(
            "Stable Diffusion 1.5",
            "{\"block_out_channels\": [128, 256, 512, 512], \"layers_per_block\": 2, \"sample_size\": 512}"));
  }

  /** Pixels per latent along each side: 8 for Stable Diffusion. */
  public int downscale() {
    return 1 << (blockOutChannels.size() - 1);
  }

  List<Integer> fromLatents() {
    List<Integer> reversed = new ArrayList<>(blockOutChannels);
    Collections.reverse(reversed);
    return reversed;
  }

  private static int sampleSize(Config config) {
    return config.isList("sample_size")
        ? config.getIntList("sample_size", 2).get(0)
        : config.getInt("sample_size", 32);
  }
}
