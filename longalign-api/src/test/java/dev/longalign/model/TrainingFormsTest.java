package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.autograd.Gradients;
import dev.longalign.nn.LayerDropout;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.RandomDropout;
import dev.longalign.random.TorchGenerator;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The training forms of LoRA and adapter, and models that gradients go through. */
class TrainingFormsTest {
  private final Backend cpu = TestModels.backend();

  @AfterEach
  void nothingIsLeft() {
    assertThat(cpu.memory().live()).as("bytes that no scope freed").isZero();
    cpu.close();
  }

  @Test
  void aNewLoraChangesNothingAndIsWrittenInOrder(@TempDir Path folder) {
    AutogradBackend autograd = new AutogradBackend(cpu, false);
    UNet2DConditionConfig config = UNet2DConditionConfig.of(TestModels.config("unet_train"));
    List<LayerSpec> layers = UNet2DCondition.loraLayers(config);
    Golden golden = Golden.open("align/one_step");
    try (TrainableLora lora =
            TrainableLora.create(
                autograd, layers, 8, new TorchGenerator(1), new RandomDropout(0.1f, 1));
        UNet2DCondition plain =
            UNet2DCondition.load(config, TestModels.weights("unet_train"), autograd, DType.F32);
        UNet2DCondition adapted =
            UNet2DCondition.load(
                config, TestModels.weights("unet_train"), autograd, DType.F32, lora.branches());
        TensorScope scope = TensorScope.open()) {
      Tensor expected = forward(plain, golden);
      Tolerance.F32.check("up is zero", expected, forward(adapted, golden));

      double squares = 0;
      long count = 0;
      for (TrainableParameter p : lora.parameters()) {
        if (p.name().endsWith("lora_down.weight")) {
          squares += autograd.training().sumOfSquares(p.value());
          count += p.shape().size();
        }
      }
      assertThat(Math.sqrt(squares / count)).isCloseTo(1 / 8.0, within(0.003));

      Path file = folder.resolve("lora.pt");
      lora.write(file);
      Lora read = Lora.read(file, UNet2DCondition.layers(config));
      assertThat(read.entries().keySet())
          .containsExactlyElementsOf(layers.stream().map(LayerSpec::path).toList());
      assertThat(read.entries().values().iterator().next().down().shape().dim(0)).isEqualTo(8);
      try (TrainableLora again = TrainableLora.of(autograd, layers, read, LayerDropout.NONE)) {
        assertThat(again.parameters())
            .extracting(TrainableParameter::shape)
            .isEqualTo(lora.parameters().stream().map(TrainableParameter::shape).toList());
      }
    }
  }

  private static Tensor forward(UNet2DCondition unet, Golden golden) {
    Backend backend = unet.backend();
    PreparedContext context = unet.prepareContext(golden.tensor(backend, "clip"));
    return unet.forward(golden.nhwc(backend, "noisy"), 500, context);
  }

  @Test
  void refusesALoraThatLacksALayer() {
    AutogradBackend autograd = new AutogradBackend(cpu, false);
    UNet2DConditionConfig config = UNet2DConditionConfig.of(TestModels.config("unet_train"));
    Lora lora =
        Lora.read(
            TestModels.folder().resolve("lora_train_init.pt"), UNet2DCondition.layers(config));
    List<LayerSpec> all = UNet2DCondition.layers(config);
    assertThatThrownBy(() -> TrainableLora.of(autograd, all, lora, LayerDropout.NONE))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("for layer conv_in");
  }

  /** The frozen adapter of the values in training is the same function. */
  @Test
  void theAdapterInTrainingIsTheAdapter() {
    AutogradBackend autograd = new AutogradBackend(cpu, false);
    TextAdapterConfig config = TextAdapterConfig.of(TestModels.config("s28750_adapter"));
    try (TrainableTextAdapter training =
            TrainableTextAdapter.load(
                config,
                TestModels.weights("s28750_adapter"),
                autograd,
                DType.F32,
                LayerDropout.NONE);
        TextAdapter frozen = TextAdapter.load(config, training, cpu, DType.F32);
        TensorScope scope = TensorScope.open()) {
      Golden golden = Golden.open("align/one_step");
      Tensor expected = frozen.forward(golden.tensor(cpu, "t5"));
      Tensor actual = training.forward(golden.tensor(autograd, "t5"));
      Tolerance.F32.check("adapter", expected, actual);
    }
  }

  /** A step in bf16 goes the way of the step in f32. */
  @Test
  void bf16GradientsPointTheSameWay() {
    Assumptions.assumeTrue(cpu.supports(DType.BF16), "this processor has no bf16");
    Golden golden = Golden.open("align/one_step");
    try (var wide = new AlignGradientTest.Trained(cpu, false, LayerDropout.NONE);
        var narrow = new AlignGradientTest.Trained(cpu, true, LayerDropout.NONE, DType.BF16);
        TensorScope scope = TensorScope.open()) {
      Gradients expected = wide.autograd.backward(wide.loss(golden, 0));
      Gradients actual = narrow.autograd.backward(narrow.loss(golden, 0));
      double dot = 0;
      double a = 0;
      double b = 0;
      for (String name : wide.parameters.keySet()) {
        Tensor gradient = actual.of(narrow.parameters.get(name).value());
        assertThat(gradient.dtype()).isEqualTo(DType.F32);
        float[] x = expected.of(wide.parameters.get(name).value()).toFloats();
        float[] y = gradient.toFloats();
        for (int i = 0; i < x.length; i++) {
          dot += (double) x[i] * y[i];
          a += (double) x[i] * x[i];
          b += (double) y[i] * y[i];
        }
      }
      assertThat(dot / Math.sqrt(a * b)).as("cosine").isGreaterThan(0.99);
      assertThat(Math.sqrt(b / a)).as("ratio of norms").isCloseTo(1, within(0.03));
    }
  }

  /** Through the whole decoder and the clamp, along a random direction. */
  @Test
  void gradientsGoThroughTheDecoder() {
    AutogradBackend autograd = new AutogradBackend(cpu, true);
    AutoencoderKLConfig config = AutoencoderKLConfig.of(TestModels.config("vae"));
    try (AutoencoderKL vae =
            AutoencoderKL.load(config, TestModels.weights("vae"), autograd, DType.F32);
        TensorScope scope = TensorScope.open()) {
      Shape shape = Shape.of(1, 8, 8, 4);
      float[] values = noise(1, 256);
      float[] direction = noise(2, 256);
      Tensor latents = autograd.variable(Tensor.of(autograd, shape, values));
      float[] gradient = autograd.backward(score(vae, latents)).of(latents).toFloats();
      double along = 0;
      double size = 0;
      for (int i = 0; i < gradient.length; i++) {
        along += (double) gradient[i] * direction[i];
        size += (double) gradient[i] * gradient[i];
      }
      float step = 1e-2f;
      double difference =
          score(vae, Tensor.of(autograd, shape, moved(values, direction, step))).toFloats()[0]
              - score(vae, Tensor.of(autograd, shape, moved(values, direction, -step)))
                  .toFloats()[0];
      assertThat(difference / (2 * step)).isCloseTo(along, within(5e-3 * Math.sqrt(size)));
      assertThat(size).isPositive();
    }
  }

  private static float[] noise(long seed, int size) {
    float[] values = new float[size];
    new TorchGenerator(seed).randn(values);
    return values;
  }

  private static float[] moved(float[] values, float[] direction, float step) {
    float[] moved = values.clone();
    for (int i = 0; i < moved.length; i++) {
      moved[i] += step * direction[i];
    }
    return moved;
  }

  /** The mean of a smooth function of the picture. */
  private static Tensor score(AutoencoderKL vae, Tensor latents) {
    Tensor picture = vae.decodeScaled(latents).scale(0.5f).clamp(-0.9f, 0.9f);
    return picture.pseudoHuber(0.3f).sum().scale(1e-2f);
  }
}
