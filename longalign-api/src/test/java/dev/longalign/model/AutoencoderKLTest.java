package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.nn.FileWeights;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.RandomWeights;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The autoencoder against the reference, with current and with older names. */
class AutoencoderKLTest {
  private static final Golden VAE = Golden.open("unet/vae");

  private static Backend backend;

  @BeforeAll
  static void open() {
    backend = TestModels.backend();
  }

  @AfterAll
  static void closeEverything() {
    assertThat(backend.memory().live()).as("bytes that no scope freed").isZero();
    backend.close();
  }

  private static AutoencoderKL load(String model) {
    return AutoencoderKL.load(
        AutoencoderKLConfig.of(TestModels.config(model)),
        new FileWeights(TestModels.file(model), AutoencoderKL::currentName),
        backend,
        DType.F32);
  }

  @Test
  void encodesAsTheReference() {
    try (AutoencoderKL vae = load("vae");
        TensorScope scope = TensorScope.open()) {
      Tensor pictures = pictures();
      VAE.checkNhwc(Tolerance.F32, "moments", vae.moments(pictures));
      Tensor sampled = vae.encode(pictures).sample(VAE.nhwc(backend, "noise"));
      VAE.checkNhwc(Tolerance.F32, "sampled", sampled);
      VAE.checkNhwc(Tolerance.F32, "scaled", vae.scale(sampled));
    }
  }

  @Test
  void decodesAsTheReference() {
    try (AutoencoderKL vae = load("vae");
        TensorScope scope = TensorScope.open()) {
      VAE.checkNhwc(Tolerance.F32, "decoded", vae.decodeScaled(VAE.nhwc(backend, "latents")));
    }
  }

  /**
   * That file holds the same weights in F16, so its results differ a little where those of the
   * other are not exact.
   */
  @Test
  void readsTheNamesOfOlderFiles() {
    try (AutoencoderKL vae = load("vae_deprecated_names");
        TensorScope scope = TensorScope.open()) {
      VAE.checkNhwc(
          Tolerance.relative(5e-3), "decoded", vae.decodeScaled(VAE.nhwc(backend, "latents")));
      VAE.checkNhwc(Tolerance.relative(5e-3), "moments", vae.moments(pictures()));
    }
  }

  @Test
  void refusesPicturesWhoseSidesAreNoMultipleOfEight() {
    try (AutoencoderKL vae = load("vae");
        TensorScope scope = TensorScope.open()) {
      Tensor picture = backend.zeros(DType.F32, Shape.of(1, 64, 60, 3));
      assertThatThrownBy(() -> vae.moments(picture))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("multiples of 8, found [1, 64, 60, 3]");
      assertThatThrownBy(() -> vae.decode(picture))
          .hasMessageContaining("expected latents [B, h, w, 4]");
    }
  }

  /**
   * Latents that repeat with every step from tile to tile: then attention and group norms see the
   * same in a tile as in the whole, and only the borders of tiles differ.
   */
  @Test
  void tilesAreCloseToTheWhole() {
    try (AutoencoderKL vae = load("vae");
        TensorScope scope = TensorScope.open()) {
      TiledAutoencoder tiled = new TiledAutoencoder(vae, 32, 0.5);
      Tensor row =
          VAE.nhwc(backend, "latents")
              .rows(0, 1)
              .reshape(16, 16, 4)
              .rows(0, 4)
              .reshape(1, 4, 16, 4);
      Tensor latents = Tensor.concat(1, row, row, row, row, row, row, row, row, row, row, row, row);
      Tensor whole = vae.decode(latents); // [1, 384, 128, 3]
      assertThat(relativeRms(whole, tiled.decode(latents))).isLessThan(0.05);
      assertThat(relativeRms(vae.moments(whole), tiled.moments(whole))).isLessThan(0.05);
    }
  }

  /** Without the 1x1 convolutions and the attention, as some autoencoders are configured. */
  @Test
  void honoursTheSwitchesOfTheConfig() {
    List<String> names = layers("{}");
    List<String> without =
        layers(
            "{\"use_quant_conv\": false, \"use_post_quant_conv\": false, \"mid_block_add_attention\": false}");
    assertThat(names)
        .contains("quant_conv", "post_quant_conv", "decoder.mid_block.attentions.0.to_q");
    List<String> rest = new ArrayList<>(names);
    rest.removeIf(name -> name.endsWith("quant_conv") || name.contains("attentions"));
    assertThat(without).isEqualTo(rest);
    AutoencoderKLConfig shifted = vaeConfig("{\"scaling_factor\": 2.5, \"shift_factor\": 0.5}");
    try (AutoencoderKL vae = AutoencoderKL.load(shifted, new RandomWeights(1), backend, DType.F32);
        TensorScope scope = TensorScope.open()) {
      Tensor latents = Tensor.of(backend, Shape.of(1, 1, 1, 4), 1, 2, 3, 4);
      Tensor scaled = vae.scale(latents);
      Tolerance.F32.check(
          "scaled", Tensor.of(backend, Shape.of(1, 1, 1, 4), 1.25f, 3.75f, 6.25f, 8.75f), scaled);
      Tolerance.F32.check("back", latents, vae.unscale(scaled));
      Tolerance.F32.check("decoded", vae.decode(latents), vae.decodeScaled(scaled));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "act_fn | \"relu\"",
        "latents_mean | [0.1, 0.2, 0.3, 0.4]",
        "down_block_types | [\"AttnDownEncoderBlock2D\"]",
        "up_block_types | [\"UpDecoderBlock2D\", \"UpDecoderBlock2D\"]",
        "norm_num_groups | 5"
      })
  void refusesWhatItCannotDoByKey(String key, String value) {
    assertThatThrownBy(() -> vaeConfig("{\"" + key + "\": " + value + "}"))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(
            "test: key '" + (key.equals("norm_num_groups") ? "block_out_channels" : key) + "'");
  }

  private static AutoencoderKLConfig vaeConfig(String json) {
    return AutoencoderKLConfig.of(Config.parse("test", json));
  }

  private static List<String> layers(String json) {
    return AutoencoderKL.layers(vaeConfig(json)).stream().map(LayerSpec::path).toList();
  }

  @Test
  void whatFitsIntoOneTileIsNotCut() {
    try (AutoencoderKL vae = load("vae");
        TensorScope scope = TensorScope.open()) {
      Tensor latents = VAE.nhwc(backend, "latents");
      TiledAutoencoder tiled = new TiledAutoencoder(vae);
      Tolerance.relative(1e-6).check("one tile", vae.decode(latents), tiled.decode(latents));
      Tolerance.relative(1e-6)
          .check("one tile", vae.moments(pictures()), tiled.moments(pictures()));
    }
  }

  private static Tensor pictures() {
    Shape shape = VAE.shape("image_u8");
    float[] pixels = VAE.floats("image_u8");
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = pixels[i] / 127.5f - 1;
    }
    return Tensor.of(backend, Golden.nhwc(shape), Golden.toNhwc(shape, pixels));
  }

  private static double relativeRms(Tensor expected, Tensor actual) {
    assertThat(actual.shape()).isEqualTo(expected.shape());
    float[] a = expected.toFloats();
    float[] b = actual.toFloats();
    double error = 0;
    double power = 0;
    for (int i = 0; i < a.length; i++) {
      error += (a[i] - b[i]) * (double) (a[i] - b[i]);
      power += a[i] * (double) a[i];
    }
    return Math.sqrt(error / power);
  }
}
