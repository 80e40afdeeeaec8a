package dev.longalign.pipeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.io.TensorFile;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.Parameter;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;

/** How much of a LoRA reaches the network. */
class ModelFilesTest {
  private static final Path MODEL = Golden.folder().resolve("models/tiny-longsd");
  private static final Path LORA = MODEL.resolve("s28750_lora_vis.pt");
  private static final Backend BACKEND = Device.cpu().open(1);

  @AfterAll
  static void close() {
    BACKEND.close();
  }

  @Test
  void lorasAreMergedWithTheirScale() {
    String name = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight";
    float[] base = weight(files(), name);
    float[] whole = weight(files(new ModelFiles.LoraFile(LORA, 1)), name);
    for (float scale : new float[] {0.5f, -2}) {
      float[] merged = weight(files(new ModelFiles.LoraFile(LORA, scale)), name);
      float[] expected = new float[base.length];
      for (int i = 0; i < base.length; i++) {
        expected[i] = base[i] + scale * (whole[i] - base[i]);
      }
      Shape shape = Shape.of(base.length);
      Tolerance.relative(1e-5).check("scale " + scale, shape, expected, merged);
      assertThat(merged).isNotEqualTo(whole).isNotEqualTo(base);
    }
    float[] twice =
        weight(
            files(new ModelFiles.LoraFile(LORA, 0.5f), new ModelFiles.LoraFile(LORA, 0.5f)), name);
    Tolerance.relative(1e-5).check("twice half", Shape.of(base.length), whole, twice);
  }

  private static float[] weight(ModelFiles files, String name) {
    UNet2DConditionConfig config = UNet2DConditionConfig.of(files.model().config("unet"));
    Parameter parameter =
        LayerSpec.parameters(UNet2DCondition.layers(config)).stream()
            .filter(p -> p.name().equals(name))
            .findFirst()
            .orElseThrow();
    try (TensorFile file = files.model().weights("unet");
        TensorScope scope = TensorScope.open()) {
      return files.mergedWeights(file).load(BACKEND, parameter).toFloats();
    }
  }

  private static ModelFiles files(ModelFiles.LoraFile... loras) {
    return ModelFiles.find(MODEL, null, null, List.of(loras), false);
  }
}
