package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.nn.RandomWeights;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * UNets that are told the guidance scale, against diffusers 0.40. Every 13th number of the result,
 * as src/test/oracle/guidance_embedding.py prints them.
 */
class GuidanceEmbeddingTest {
  private static Backend backend;

  private record Expected(int width, float guidanceScale, float... values) {}

  private static final List<Expected> EXPECTED =
      List.of(
          new Expected(
              16,
              7.5f,
              -0.3221236f,
              -0.07497297f,
              0.267227f,
              0.4751205f,
              -0.1191739f,
              -0.1098015f,
              0.4115217f,
              0.2153903f,
              -0.5597758f,
              0.007275076f),
          new Expected(
              16,
              1,
              -0.2937694f,
              -0.08116087f,
              0.2331559f,
              0.4561259f,
              -0.1192739f,
              -0.09479834f,
              0.4132174f,
              0.2396955f,
              -0.5546628f,
              -0.01373734f),
          new Expected(
              16,
              0,
              -0.3051804f,
              -0.08427292f,
              0.2669772f,
              0.4477249f,
              -0.1225951f,
              -0.09715213f,
              0.4171489f,
              0.2379145f,
              -0.5728595f,
              -0.02358019f),
          new Expected(
              17,
              7.5f,
              -0.2673874f,
              -0.0764668f,
              0.2484756f,
              0.4664097f,
              -0.1321857f,
              -0.09033523f,
              0.4085968f,
              0.2485381f,
              -0.5508956f,
              -0.02505991f));

  @BeforeAll
  static void open() {
    backend = TestModels.backend();
  }

  @AfterAll
  static void close() {
    assertThat(backend.memory().live()).as("bytes that no scope freed").isZero();
    backend.close();
  }

  @Test
  void guidanceReachesTheNetworkWithTheTimestep() {
    for (Expected expected : EXPECTED) {
      try (UNet2DCondition unet =
              UNet2DCondition.load(
                  config("" + expected.width), new RandomWeights(5), backend, DType.F32);
          TensorScope scope = TensorScope.open()) {
        assertThat(unet.hasGuidanceEmbedding()).isTrue();
        Tensor sinusoids = unet.guidedSinusoids(expected.guidanceScale, 499, 499);
        float[] all =
            unet.forward(wave(1, 2, 4, 4, 4), sinusoids, unet.prepareContext(wave(2, 2, 3, 8)))
                .toFloats();
        float[] some = new float[expected.values.length];
        for (int i = 0; i < some.length; i++) {
          some[i] = all[13 * i];
        }
        Tolerance.relative(1e-4)
            .check("guidance " + expected, Shape.of(some.length), expected.values, some);
      }
    }
  }

  @Test
  void othersAreToldTheTimestepAlone() {
    try (UNet2DCondition unet =
            UNet2DCondition.load(config("null"), new RandomWeights(5), backend, DType.F32);
        TensorScope scope = TensorScope.open()) {
      assertThat(unet.hasGuidanceEmbedding()).isFalse();
      assertThat(unet.guidedSinusoids(7.5f, 499).toFloats())
          .isEqualTo(unet.sinusoids(499).toFloats());
    }
    assertThatThrownBy(() -> config("1"))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("time_cond_proj_dim");
  }

  private static UNet2DConditionConfig config(String width) {
    return UNet2DConditionConfig.of(
        Config.parse(
            "test",
            "{\"block_out_channels\": [8, 8], \"norm_num_groups\": 4, \"attention_head_dim\": 2,"
                + " \"layers_per_block\": 1, \"cross_attention_dim\": 8, \"down_block_types\":"
                + " [\"CrossAttnDownBlock2D\", \"DownBlock2D\"], \"up_block_types\":"
                + " [\"UpBlock2D\", \"CrossAttnUpBlock2D\"], \"time_cond_proj_dim\": "
                + width
                + "}"));
  }

  private static Tensor wave(float factor, long... dims) {
    Shape shape = Shape.of(dims);
    float[] values = new float[Math.toIntExact(shape.size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = factor * (float) Math.sin(i * 0.37);
    }
    return Tensor.of(backend, shape, values);
  }
}
