package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.io.Config;
import dev.longalign.nn.RandomWeights;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Configs that differ from SD 1.5's, with weights from a seed. */
class UNet2DConditionStyleTest {
  /**
   * As SD 2.1, small and irregular: linear projections; layers, heads and depth differ from level
   * to level.
   */
  private static final String SD21_STYLE =
      """
      {"block_out_channels": [32, 64, 64], "layers_per_block": [1, 2, 1], "attention_head_dim": [2, 4, 8],
       "transformer_layers_per_block": [1, 2, 1], "cross_attention_dim": 24, "norm_num_groups": 8,
       "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
       "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
       "use_linear_projection": true, "upcast_attention": true}
      """;

  /**
   * Every 29th number of the result, as src/test/oracle/unet_sd21_style.py prints them (torch,
   * f64).
   */
  private static final float[] EXPECTED = {
    -0.0414926f,
    -0.1298723f,
    -0.1264466f,
    -0.0197908f,
    0.0138505f,
    0.0112918f,
    -0.5658617f,
    -0.3794650f,
    -0.1375690f,
    -0.2868268f,
    0.2286433f,
    -0.6471808f,
    0.5438554f,
    0.3049837f,
    0.0394430f,
    0.0019812f,
    0.1156255f
  };

  private Backend backend;

  @BeforeEach
  void open() {
    backend = TestModels.backend();
  }

  @AfterEach
  void closeEverything() {
    assertThat(backend.memory().live()).as("bytes that no scope freed").isZero();
    backend.close();
  }

  @Test
  void honoursAStableDiffusion21StyleConfig() {
    try (TensorScope scope = TensorScope.open()) {
      float[] all = run(SD21_STYLE).toFloats();
      float[] some = new float[EXPECTED.length];
      for (int i = 0; i < some.length; i++) {
        some[i] = all[29 * i];
      }
      Tolerance.F32.check("every 29th", Shape.of(some.length), EXPECTED, some);
    }
  }

  @Test
  void projectionsMeanTheSameHoweverTheyAreStored() {
    try (TensorScope scope = TensorScope.open()) {
      String other =
          SD21_STYLE.replace("\"use_linear_projection\": true", "\"use_linear_projection\": false");
      Tensor convolutions = run(other);
      Tolerance.relative(1e-6).check("proj_in, proj_out", run(SD21_STYLE), convolutions);
    }
  }

  @Test
  void everySwitchOfTheConfigMatters() {
    try (TensorScope scope = TensorScope.open()) {
      float[] base = run(SD21_STYLE).toFloats();
      String[] switches = {
        "\"flip_sin_to_cos\": false",
        "\"freq_shift\": 1",
        "\"center_input_sample\": true",
        "\"downsample_padding\": 0",
        "\"mid_block_type\": null",
        "\"mid_block_type\": \"UNetMidBlock2D\"",
        "\"conv_in_kernel\": 5",
        "\"norm_eps\": 0.1",
        "\"attention_head_dim\": 8",
        "\"time_embedding_dim\": 64"
      };
      for (String change : switches) {
        String key = change.substring(1, change.indexOf('"', 1));
        String without = SD21_STYLE.replaceAll("\"" + key + "\": (\\[[^\\]]*\\]|[^,}]*),", "");
        float[] changed = run(without.replaceFirst("\\{", "{" + change + ", ")).toFloats();
        assertThat(changed)
            .as(change)
            .hasSameSizeAs(base)
            .isNotEqualTo(base)
            .doesNotContain(Float.NaN);
      }
    }
  }

  @Test
  void bf16StaysNearF32() {
    if (!backend.supports(DType.BF16)) {
      Assumptions.abort(backend.name() + " does not compute in BF16");
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor bf16 = run(SD21_STYLE, DType.BF16);
      assertThat(bf16.dtype()).isEqualTo(DType.F32);
      Tolerance.relative(4e-2).check("bf16", run(SD21_STYLE), bf16);
    }
  }

  private Tensor run(String json) {
    return run(json, DType.F32);
  }

  private Tensor run(String json, DType dtype) {
    UNet2DConditionConfig config = UNet2DConditionConfig.of(Config.parse("test", json));
    try (UNet2DCondition unet =
        UNet2DCondition.load(config, new RandomWeights(21), backend, dtype)) {
      PreparedContext context = unet.prepareContext(wave(2, 2, 5, 24));
      return unet.forward(wave(1, 2, 10, 6, 4), new float[] {7, 801}, context);
    }
  }

  private Tensor wave(float factor, long... dims) {
    Shape shape = Shape.of(dims);
    float[] values = new float[Math.toIntExact(shape.size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = factor * (float) Math.sin(i * 0.37);
    }
    return Tensor.of(backend, shape, values);
  }
}
