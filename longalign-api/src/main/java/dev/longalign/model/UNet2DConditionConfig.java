package dev.longalign.model;

import dev.longalign.io.Config;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * {@code unet/config.json} of a UNet2DConditionModel, with the defaults of diffusers for what is
 * absent. What the file asks for and this library cannot do is refused by name. Lists run from the
 * outermost level to the innermost.
 *
 * @param levels the way down
 * @param upAttention whether the level has attention on the way up, which block types say
 *     separately
 * @param mid the block in the middle, or null for none
 * @param normEps of the residual blocks
 * @param timeCondProjDim width of the guidance scale's embedding, which a network with distilled
 *     guidance is told beside the timestep; 0 for none
 * @param downsamplePadding 1, or 0 for one row below and one column to the right
 */
public record UNet2DConditionConfig(
    int inChannels,
    int outChannels,
    int sampleSize,
    List<Level> levels,
    List<Boolean> upAttention,
    Mid mid,
    int crossAttentionDim,
    int timeEmbedDim,
    int timeCondProjDim,
    int normNumGroups,
    float normEps,
    boolean useLinearProjection,
    boolean flipSinToCos,
    float freqShift,
    boolean centerInputSample,
    int downsamplePadding,
    int convInKernel,
    int convOutKernel) {

  /**
   * @param layers residual blocks on the way down; there is one more on the way up
   * @param heads of an attention; the key of the file that holds it is called attention_head_dim
   */
  public record Level(
      int channels, int layers, int heads, int transformerLayers, boolean attention) {
    Level withAttention(boolean has) {
      return new Level(channels, layers, heads, transformerLayers, has);
    }
  }

  /**
   * @param attention whether a transformer and a second residual block follow the first one
   */
  public record Mid(boolean attention) {}

  public UNet2DConditionConfig {
    levels = List.copyOf(levels);
    upAttention = List.copyOf(upAttention);
  }

  /** The level on the way up. */
  Level upLevel(int level) {
    return levels.get(level).withAttention(upAttention.get(level));
  }

  /** The level of the block in the middle. */
  Level midLevel() {
    return levels.get(levels.size() - 1).withAttention(mid.attention());
  }

  /** Reads a config as diffusers writes it. */
  public static UNet2DConditionConfig of(Config config) {
    refuseUnsupported(config);
    List<Integer> channels = config.getIntList("block_out_channels", List.of(320, 640, 1280, 1280));
    int count = channels.size();
    List<Integer> layers = perLevel(config, "layers_per_block", count, 2);
    List<Integer> heads = perLevel(config, "attention_head_dim", count, 8);
    List<Integer> transformerLayers = perLevel(config, "transformer_layers_per_block", count, 1);
    List<Boolean> down =
        attentions(config, "down_block_types", "CrossAttnDownBlock2D", "DownBlock2D", count);
    List<Boolean> up =
        new ArrayList<>(
            attentions(config, "up_block_types", "CrossAttnUpBlock2D", "UpBlock2D", count));
    Collections.reverse(up);
    int groups = config.getInt("norm_num_groups", 32);
    List<Level> levels = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      if (channels.get(i) < 1 || groups < 1 || channels.get(i) % groups != 0) {
        throw config.refusal("block_out_channels", "multiples of norm_num_groups " + groups);
      }
      if (heads.get(i) < 1 || channels.get(i) % heads.get(i) != 0) {
        throw config.refusal(
            "attention_head_dim", "numbers of heads that divide block_out_channels " + channels);
      }
      levels.add(
          new Level(
              channels.get(i), layers.get(i), heads.get(i), transformerLayers.get(i), down.get(i)));
    }
    return new UNet2DConditionConfig(
        config.getInt("in_channels", 4),
        config.getInt("out_channels", 4),
        sampleSize(config),
        levels,
        up,
        mid(config),
        crossAttentionDim(config, count),
        config.getInt("time_embedding_dim", 4 * channels.get(0)),
        timeCondProjDim(config),
        groups,
        config.getFloat("norm_eps", 1e-5f),
        config.getBoolean("use_linear_projection", false),
        config.getBoolean("flip_sin_to_cos", true),
        config.getFloat("freq_shift", 0),
        config.getBoolean("center_input_sample", false),
        oneOf(config, "downsample_padding", 1, 0, 1),
        oneOf(config, "conv_in_kernel", 3, 1, 3, 5, 7),
        oneOf(config, "conv_out_kernel", 3, 1, 3, 5, 7));
  }

  /** Stable Diffusion 1.5. */
  public static UNet2DConditionConfig stableDiffusion15() {
    return of(
        Config.parse(
            "Stable Diffusion 1.5", "{\"sample_size\": 64, \"cross_attention_dim\": 768}"));
  }

  private static void refuseUnsupported(Config config) {
    Configs.expectOneOf(config, "act_fn", "silu", "swish");
    Configs.expectOneOf(config, "resnet_time_scale_shift", "default");
    Configs.expectOneOf(config, "time_embedding_type", "positional");
    Configs.expectOneOf(config, "attention_type", "default");
    Configs.expectAbsent(
        config,
        "num_attention_heads",
        "class_embed_type",
        "num_class_embeds",
        "addition_embed_type",
        "encoder_hid_dim",
        "encoder_hid_dim_type",
        "time_embedding_act_fn",
        "timestep_post_act",
        "cross_attention_norm",
        "addition_time_embed_dim",
        "projection_class_embeddings_input_dim",
        "reverse_transformer_layers_per_block");
    Configs.expectFalse(
        config,
        "dual_cross_attention",
        "only_cross_attention",
        "mid_block_only_cross_attention",
        "resnet_skip_time_act",
        "class_embeddings_concat");
    Configs.expectOne(config, "mid_block_scale_factor", "resnet_out_scale_factor");
  }

  private static List<Integer> perLevel(Config config, String key, int count, int absent) {
    List<Integer> values =
        config.has(key) ? config.getIntList(key, count) : Collections.nCopies(count, absent);
    if (values.stream().anyMatch(value -> value < 1)) {
      throw config.refusal(key, "positive numbers");
    }
    return values;
  }

  private static List<Boolean> attentions(
      Config config, String key, String with, String without, int count) {
    boolean down = key.startsWith("down");
    List<String> standard =
        down ? List.of(with, with, with, without) : List.of(without, with, with, with);
    List<String> types = config.getStringList(key, standard);
    if (types.size() != count || !List.of(with, without).containsAll(types)) {
      throw config.refusal(
          key, count + " of " + with + " and " + without + ", one for each of block_out_channels");
    }
    return types.stream().map(with::equals).toList();
  }

  private static Mid mid(Config config) {
    if (config.keys().contains("mid_block_type") && !config.has("mid_block_type")) {
      return null; // an explicit null stands for no block, an absent key for the default
    }
    return switch (config.getString("mid_block_type", "UNetMidBlock2DCrossAttn")) {
      case "UNetMidBlock2DCrossAttn" -> new Mid(true);
      case "UNetMidBlock2D" -> new Mid(false);
      default ->
          throw config.refusal("mid_block_type", "UNetMidBlock2DCrossAttn, UNetMidBlock2D or null");
    };
  }

  private static int crossAttentionDim(Config config, int count) {
    if (!config.has("cross_attention_dim")) {
      return 1280;
    }
    List<Integer> dims = config.getIntList("cross_attention_dim", count);
    if (dims.get(0) < 1 || dims.stream().distinct().count() != 1) {
      throw config.refusal("cross_attention_dim", "one positive number, the same for every level");
    }
    return dims.get(0);
  }

  private static int timeCondProjDim(Config config) {
    int width = config.getInt("time_cond_proj_dim", 0);
    if (config.has("time_cond_proj_dim") && width < 4) {
      throw config.refusal("time_cond_proj_dim", "null or at least 4");
    }
    return width;
  }

  private static int sampleSize(Config config) {
    return config.isList("sample_size")
        ? config.getIntList("sample_size", 2).get(0)
        : config.getInt("sample_size", 64);
  }

  private static int oneOf(Config config, String key, int absent, Integer... allowed) {
    int value = config.getInt(key, absent);
    if (!List.of(allowed).contains(value)) {
      throw config.refusal(key, "one of " + List.of(allowed));
    }
    return value;
  }
}
