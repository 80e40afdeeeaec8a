package dev.longalign.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.LongAlignException;
import dev.longalign.preference.CaptionFeatures;
import dev.longalign.preference.CosineScore;
import dev.longalign.preference.Crop;
import dev.longalign.preference.Features;
import dev.longalign.preference.ImagePreprocessing;
import dev.longalign.preference.PictureBatch;
import dev.longalign.preference.PictureScorer;
import dev.longalign.preference.PixelValues;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tolerance;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Against torch in f64: the random models of src/test/python/preference.py, and the mini model. */
class OnnxPreferenceModelTest {
  private static final Path MODELS = Path.of("src/test/resources/preference");
  private static final Path EMBEDDED =
      Path.of("../longalign-api/src/main/resources/dev/longalign/embedded/longsd-mini/denscore");
  private static final Tolerance CLOSE = new Tolerance(5e-5, 1e-6);

  @TempDir Path temp;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "quick_gelu",
        "gelu_heads",
        "gelu_new_f16",
        "remainder_bf16",
        "relu_one_patch",
        "silu_no_layers",
        "open_clip",
        "open_clip_f16",
        "open_clip_config"
      })
  void featuresAndGradientsOfRandomModels(String name) {
    Path directory = MODELS.resolve(name);
    Path expected = directory.resolve("expected.safetensors");
    try (PreferenceModel model = PreferenceModel.open(directory, 1)) {
      PixelValues pixels = pixels(expected, "pixel_values");
      Features images = model.imageFeatures(pixels);
      check(expected, "image_features", images.values());
      List<int[]> ids = Arrays.asList(Expected.ids(expected, "input_ids"));
      check(expected, "text_features", model.textFeatures(ids).values());
      float[] cotangent = Expected.tensor(expected, "cotangent").toFloats();
      Features direction = new Features(cotangent, images.count(), images.width());
      check(expected, "gradient", model.imageGradient(pixels, direction).values());

      // One pass gives what the features and then their product with the cosine's gradient give.
      PreferenceModel.ScoreGradient score = model.scoreGradient(pixels, direction);
      check(expected, "image_features", score.images().values());
      List<float[]> cotangents = new ArrayList<>();
      for (int i = 0; i < images.count(); i++) {
        cotangents.add(CosineScore.imageGradient(direction.row(i), images.row(i)));
      }
      float[] twoPasses = model.imageGradient(pixels, Features.of(cotangents)).values();
      Tolerance.relative(2e-5)
          .check(
              "score gradient", Shape.of(twoPasses.length), twoPasses, score.gradient().values());
    }
  }

  private static void check(Path expected, String name, float[] found) {
    var tensor = Expected.tensor(expected, name);
    CLOSE.check(expected.getParent() + " " + name, tensor.shape(), tensor.toFloats(), found);
  }

  private static PixelValues pixels(Path file, String name) {
    Shape shape = Expected.tensor(file, name).shape();
    float[] values = Expected.tensor(file, name).toFloats();
    return new PixelValues(values, shape.intDim(0), shape.intDim(3));
  }

  /** Along random directions in picture space, by central differences. */
  @ParameterizedTest
  @ValueSource(strings = {"quick_gelu", "gelu_heads", "open_clip"})
  void gradientIsTheSlope(String name) {
    try (PreferenceModel model = PreferenceModel.open(MODELS.resolve(name), 1)) {
      Random random = new Random(5);
      int size = 23;
      float[] picture = new float[2 * size * size * 3];
      for (int i = 0; i < picture.length; i++) {
        picture[i] = random.nextFloat();
      }
      PictureScorer scorer = PictureScorer.denscore(model);
      List<CaptionFeatures> captions =
          scorer.captions(List.of("A red apple. On a table.", "Two foxes? In snow."));
      Features texts = PictureScorer.texts(captions);
      Crop crop = new Crop(1, 0, 22);
      PictureBatch batch = new PictureBatch(picture, 2, size, size);
      PictureScorer.Gradient gradient = scorer.gradient(batch, crop, texts);
      float step = 2e-3f;
      for (int trial = 0; trial < 4; trial++) {
        float[] direction = new float[picture.length];
        double slope = 0;
        for (int i = 0; i < direction.length; i++) {
          direction[i] = (float) random.nextGaussian();
          slope += gradient.gradient().values()[i] * direction[i];
        }
        double up = sum(model, moved(batch, direction, step), crop, texts);
        double down = sum(model, moved(batch, direction, -step), crop, texts);
        assertThat((up - down) / (2 * step))
            .isCloseTo(slope, within(2e-3 + 2e-2 * Math.abs(slope)));
      }
    }
  }

  private static PictureBatch moved(PictureBatch batch, float[] direction, float step) {
    float[] values = batch.values().clone();
    for (int i = 0; i < values.length; i++) {
      values[i] += step * direction[i];
    }
    return new PictureBatch(values, batch.count(), batch.height(), batch.width());
  }

  private static double sum(PreferenceModel model, PictureBatch batch, Crop crop, Features texts) {
    Features images = model.imageFeatures(model.preprocessing().prepare(batch, crop));
    return IntStream.range(0, batch.count())
        .mapToDouble(i -> CosineScore.of(texts.row(i), images.row(i)))
        .sum();
  }

  @Test
  void miniDenscore() throws IOException {
    Path json = Golden.miniFolder().resolve("reference.json");
    Golden mini = Golden.open(json, Golden.miniFolder().resolve("reference.safetensors"));
    try (PreferenceModel model = PreferenceModel.open(EMBEDDED, 1)) {
      float[] pixels = mini.floats("denscore_pixel_values");
      Features images = model.imageFeatures(new PixelValues(pixels, 4, 96));
      // The jar's weights are f16; the reference's are f32.
      Tolerance half = Tolerance.relative(2e-3);
      half.check(
          "denscore_image_embeds",
          mini.shape("denscore_image_embeds"),
          mini.floats("denscore_image_embeds"),
          images.normalised().values());
      List<String> prompts = new ArrayList<>();
      mini.description().getAsJsonArray("prompts").forEach(p -> prompts.add(p.getAsString()));
      List<CaptionFeatures> captions = PictureScorer.denscore(model).captions(prompts);
      for (int i = 0; i < 4; i++) {
        double expected = mini.description().getAsJsonArray("denscore").get(i).getAsDouble();
        assertThat(CosineScore.of(captions.get(i).text(), images.row(i)))
            .isCloseTo(expected, within(2e-4));
      }
      // From the picture itself: 96 pixels are read whole.
      float[] decoded = Golden.toNhwc(mini.shape("decoded_image"), mini.floats("decoded_image"));
      for (int i = 0; i < decoded.length; i++) {
        decoded[i] = Math.round(Math.min(1, Math.max(0, decoded[i] / 2 + 0.5f)) * 255) / 255f;
      }
      Tolerance.relative(1e-2)
          .check(
              "prepared",
              mini.shape("denscore_pixel_values"),
              pixels,
              model.preprocessing().prepare(new PictureBatch(decoded, 4, 96, 96)).values());
    }
  }

  @Test
  void manyTextsAndPicturesAreTheSameAsOneAtATime() {
    Path directory = MODELS.resolve("quick_gelu");
    Path expected = directory.resolve("expected.safetensors");
    try (PreferenceModel model = PreferenceModel.open(directory, 2)) {
      PixelValues three = pixels(expected, "pixel_values");
      int one = three.values().length / 3;
      float[] many = new float[300 * one];
      for (int i = 0; i < 300; i++) {
        System.arraycopy(three.values(), i % 3 * one, many, i * one, one);
      }
      Features together = model.imageFeatures(new PixelValues(many, 300, three.size()));
      Features alone = model.imageFeatures(three);
      Tolerance.relative(1e-5)
          .check("row 299", Shape.of(alone.width()), alone.row(2), together.row(299));
      assertThat(model.textFeatures(List.of()).count()).isZero();
      List<int[]> ids = new ArrayList<>();
      for (int i = 0; i < 70; i++) {
        ids.add(new int[] {0, 5 + i, 1213});
      }
      Tolerance.relative(1e-5)
          .check(
              "text 69",
              Shape.of(10),
              model.textFeatures(List.of(ids.get(69))).values(),
              model.textFeatures(ids).row(69));
    }
  }

  @Test
  void refusesWhatIsNoPreferenceModel() throws IOException {
    assertThatThrownBy(() -> PreferenceModel.open(temp.resolve("no"), 1))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("found nothing");
    assertThatThrownBy(() -> PreferenceModel.open(temp, 1))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("found neither");
    Path encoder = Golden.folder().resolve("models/tiny-longsd/text_encoder/model.safetensors");
    assertThatThrownBy(() -> PreferenceModel.open(encoder, 1))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("visual.conv1.weight");
    Path directory = MODELS.resolve("gelu_heads");
    for (String file : List.of("model.safetensors", "vocab.json", "merges.txt")) {
      Files.copy(directory.resolve(file), temp.resolve(file));
    }
    String config = Files.readString(directory.resolve("config.json"));
    Files.writeString(
        temp.resolve("config.json"), config.replace("\"patch_size\": 8", "\"patch_size\": 4"));
    try (PreferenceModel model = PreferenceModel.open(temp, 1)) {
      PixelValues pixels = new PixelValues(new float[3 * 16 * 16], 1, 16);
      assertThatThrownBy(() -> model.imageFeatures(pixels))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("patch_embedding.weight")
          .hasMessageContaining("expected [24, 3, 4, 4], found [24, 3, 8, 8]");
      assertThatThrownBy(() -> model.imageFeatures(new PixelValues(new float[12], 1, 2)))
          .hasMessageContaining("expected pictures of 16 pixels, found 2");
      assertThatThrownBy(() -> model.textFeatures(List.of(new int[] {0, 5000})))
          .hasMessageContaining("found 5000");
      assertThatThrownBy(() -> model.textFeatures(List.of(new int[78])))
          .hasMessageContaining("1 to 77 tokens");
    }
  }

  @Test
  void closedModelSaysSo() {
    PreferenceModel model = PreferenceModel.open(MODELS.resolve("quick_gelu"), 1);
    model.close();
    assertThatThrownBy(() -> model.textFeatures(List.of(new int[] {0, 1213})))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("closed");
  }

  @Test
  void statisticsComeFromThePreprocessorsConfig() throws IOException {
    Path directory = MODELS.resolve("quick_gelu");
    for (String file : List.of("config.json", "model.safetensors", "vocab.json", "merges.txt")) {
      Files.copy(directory.resolve(file), temp.resolve(file));
    }
    Files.writeString(temp.resolve("preprocessor_config.json"), "{\"image_mean\": [0.5, 0.25, 0]}");
    try (PreferenceModel model = PreferenceModel.open(temp, 1)) {
      ImagePreprocessing preprocessing = model.preprocessing();
      assertThat(preprocessing.mean()).containsExactly(0.5f, 0.25f, 0f);
      assertThat(preprocessing.std()).isEqualTo(ImagePreprocessing.clip(16).std());
    }
  }
}
