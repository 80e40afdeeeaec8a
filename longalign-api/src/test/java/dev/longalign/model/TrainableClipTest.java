package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.Config;
import dev.longalign.io.TensorFile;
import dev.longalign.nn.FileWeights;
import dev.longalign.random.TorchGenerator;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import dev.longalign.tensor.cpu.CpuBackend;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** CLIP in training against the reference's features (golden/denscore), and what it refuses. */
class TrainableClipTest {
  private final Backend cpu = new CpuBackend(2);
  private final AutogradBackend autograd = new AutogradBackend(cpu, false);
  private final ComponentDirectory directory =
      ComponentDirectory.open(Golden.folder().resolve("models/tiny-longsd/denscore"));

  @AfterEach
  void nothingIsLeft() {
    assertThat(cpu.memory().live()).as("bytes that no scope freed").isZero();
    autograd.close();
  }

  private TrainableClip load(ClipConfig config) {
    try (TensorFile weights = directory.weights()) {
      return TrainableClip.load(config, new FileWeights(weights), autograd, DType.F32);
    }
  }

  private ClipConfig config() {
    return ClipConfig.of(directory.config());
  }

  /** The config with a number or word of the text tower changed. */
  private ClipConfig changed(String key, String value) {
    JsonObject json = directory.config().json().deepCopy();
    JsonObject text = json.getAsJsonObject("text_config");
    if (value.matches("\\d+")) {
      text.addProperty(key, Integer.parseInt(value));
    } else {
      text.addProperty(key, value);
    }
    return ClipConfig.of(Config.of("config.json", json));
  }

  /** Rows as they were encoded: padded with the end token, whose first is the text's end. */
  private static List<int[]> segments(Golden golden) {
    long[] all = golden.longs("segment_ids");
    int length = golden.shape("segment_ids").intDim(1);
    List<int[]> rows = new ArrayList<>();
    for (int from = 0; from < all.length; from += length) {
      int[] row = new int[length];
      for (int i = 0; i < length; i++) {
        row[i] = (int) all[from + i];
      }
      int end = length;
      while (end > 1 && row[end - 1] == row[length - 1] && row[end - 2] == row[length - 1]) {
        end--;
      }
      rows.add(Arrays.copyOf(row, end));
    }
    return rows;
  }

  @Test
  void featuresOfTheReference() {
    Golden golden = Golden.open("denscore/denscore");
    try (TrainableClip clip = load(config());
        TensorScope scope = TensorScope.open()) {
      Tolerance close = new Tolerance(1e-4, 1e-3);
      Tensor texts = clip.textFeatures(segments(golden)).normalizeRows();
      golden.check(close, "segment_embeds", texts);
      Tensor picture = clip.imageFeatures(golden.nhwc(autograd, "prepared")); // the first of two
      float[] expected = Arrays.copyOf(golden.floats("image_features"), picture.dim(1));
      close.check("image_features", Shape.of(1, expected.length), expected, picture);
    }
  }

  @Test
  void newWeightsBeginAsTransformersBeginsThem() {
    ClipConfig config = config();
    try (TrainableClip clip =
        TrainableClip.load(
            config, new ClipInitialWeights(config, new TorchGenerator(3)), autograd, DType.F32)) {
      for (TrainableParameter p : clip.parameters()) {
        double expected = expectedDeviation(p.name());
        float[] values = p.value().toFloats();
        double squares = 0;
        for (float value : values) {
          squares += (double) value * value;
        }
        double found = Math.sqrt(squares / values.length);
        assertThat(found).as(p.name()).isCloseTo(expected, within(0.25 * expected));
      }
    }
  }

  /** Width 64, two layers, in both towers. */
  private static double expectedDeviation(String name) {
    if (name.equals("logit_scale")) {
      return 2.6592;
    }
    if (name.endsWith(".bias")) {
      return 0;
    }
    if (name.contains("norm")) {
      return 1;
    }
    if (name.contains("embedding")) {
      return name.endsWith("class_embedding") ? 1 / Math.sqrt(64) : 0.02;
    }
    if (name.contains("out_proj") || name.contains("projection")) {
      return 1 / Math.sqrt(64);
    }
    return name.contains("fc1") ? 1 / Math.sqrt(128) : 1 / Math.sqrt(64 * 4);
  }

  @Test
  void theScaleIsKeptBelowAHundred() {
    try (TrainableClip clip = load(config())) {
      for (float[] move : new float[][] {{10, TrainableClip.MAX_LOGIT_SCALE}, {-20, 0}}) {
        try (TensorScope scope = TensorScope.open()) {
          Tensor by = Tensor.of(autograd, Shape.of(), move[0]);
          autograd.training().accumulate(clip.logitScale(), 1, by);
        }
        clip.clampLogitScale();
        assertThat(clip.logitScale().toFloats()[0]).isCloseTo(move[1], within(1e-6f));
      }
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (TrainableClip clip = load(config())) {
      assertThatThrownBy(() -> clip.textFeatures(List.of(new int[] {0, 5000})))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("0 to 1213")
          .hasMessageContaining("5000");
      assertThatThrownBy(() -> clip.textFeatures(List.of(new int[78])))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("1 to 77 tokens, found 78");
      try (TensorScope scope = TensorScope.open()) {
        Tensor small = Tensor.zeros(autograd, DType.F32, Shape.of(1, 96, 96, 3));
        assertThatThrownBy(() -> clip.imageFeatures(small))
            .isInstanceOf(LongAlignException.class)
            .hasMessageContaining("[B, 224, 224, 3]")
            .hasMessageContaining("96");
      }
    }
    assertThatThrownBy(() -> load(changed("hidden_size", "128")))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("text_projection.weight")
        .hasMessageContaining("expected [64, 128], found [64, 64]");
    assertThatThrownBy(() -> load(changed("num_hidden_layers", "3")))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("text_model.encoder.layers.2.self_attn.k_proj.weight");
    assertThatThrownBy(() -> load(changed("hidden_act", "relu")))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("quick_gelu, gelu or silu")
        .hasMessageContaining("relu");
    assertThatThrownBy(() -> ClipConfig.of(Config.parse("config.json", "{\"text_config\": {}}")))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("vision_config");
  }
}
