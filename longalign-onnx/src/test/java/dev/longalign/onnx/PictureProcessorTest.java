package dev.longalign.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.StoredTensor;
import dev.longalign.preference.PictureBatch;
import dev.longalign.preference.PictureProcessor;
import dev.longalign.preference.PictureProcessorConfig;
import dev.longalign.tensor.Tolerance;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Against transformers' CLIPImageProcessor, open_clip's transform and HPSv2's: the vectors of
 * src/test/python/processors.py.
 */
class PictureProcessorTest {
  private static final Path VECTORS = Path.of("src/test/resources/preference");

  /** Bytes are equal; what is left is one rounding of f32. */
  private static final Tolerance ROUNDING = new Tolerance(1e-6, 1e-6);

  /** HPSv2 resizes in floats, which torch sums in another order. */
  private static final Tolerance FLOATS = new Tolerance(2e-5, 1e-5);

  @TempDir Path temp;

  @Test
  void picturesComeOutAsTheModelsOwnProcessorsGiveThem() throws IOException {
    JsonObject vectors =
        JsonParser.parseString(Files.readString(VECTORS.resolve("processors.json")))
            .getAsJsonObject();
    int size = vectors.get("size").getAsInt();
    Path tensors = VECTORS.resolve("processors.safetensors");
    for (JsonElement e : vectors.getAsJsonArray("cases")) {
      JsonObject test = e.getAsJsonObject();
      String name = test.get("name").getAsString();
      String config = test.get("config").toString();
      PictureProcessor processor =
          switch (test.get("kind").getAsString()) {
            case "clip" -> clip(config, size);
            case "open_clip" -> PictureProcessorConfig.openClip(Config.parse(name, config), size);
            default -> PictureProcessorConfig.hpsV2(size);
          };
      PictureBatch picture =
          picture(Expected.tensor(tensors, "picture " + test.get("picture").getAsString()));
      StoredTensor expected = Expected.tensor(tensors, name);
      (processor.bytes() ? ROUNDING : FLOATS)
          .check(name, expected.shape(), expected.toFloats(), processor.prepare(picture).values());
    }
    assertThat(vectors.getAsJsonArray("cases")).hasSizeGreaterThan(100);
  }

  private PictureProcessor clip(String config, int size) throws IOException {
    Files.writeString(temp.resolve("preprocessor_config.json"), config);
    return PictureProcessorConfig.read(temp, size);
  }

  private static PictureBatch picture(StoredTensor tensor) {
    ByteBuffer bytes = tensor.data();
    float[] values = new float[bytes.remaining()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (bytes.get(i) & 255) / 255f;
    }
    return new PictureBatch(values, 1, tensor.shape().intDim(0), tensor.shape().intDim(1));
  }

  @Test
  void aProcessorConfigOfNewerTransformersIsRead() throws IOException {
    Files.writeString(
        temp.resolve("processor_config.json"),
        """
        {"processor_class": "CLIPProcessor", "image_processor":
          {"image_processor_type": "CLIPImageProcessor", "resample": 2, "size": 12,
           "crop_size": 12, "do_pad": null, "image_mean": [0, 0.1, 0.2], "rescale_factor": 0.5}}
        """);
    PictureProcessor found = PictureProcessorConfig.read(temp, 12);
    assertThat(found.filter().name()).isEqualTo("BILINEAR");
    assertThat(found.mean()).containsExactly(0f, 0.1f, 0.2f);
    assertThat(found.factor()).isEqualTo(0.5);
    // What training computes from pictures in [0, 1] is the same.
    assertThat(found.training().mean().get(2)).isEqualTo(0.2f / 127.5f);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "do_pad | {\"do_pad\": true}",
        "resample | {\"resample\": 0}",
        "crop_size | {\"crop_size\": 13}",
        "size | {\"size\": {\"height\": 9, \"width\": 12}, \"do_center_crop\": false}",
        "longest_edge | {\"size\": {\"longest_edge\": 12}}",
        "image_std | {\"image_std\": [1, 0, 1]}",
        "image_mean | {\"image_mean\": [1, 2]}",
        "image_processor_type | {\"image_processor_type\": \"SiglipImageProcessor\"}",
        "do_resize | {\"do_resize\": \"yes\"}",
      })
  void whatIsNotComputedIsRefusedByItsKey(String key, String config) {
    assertThatThrownBy(() -> clip(config, 12))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("preprocessor_config.json")
        .hasMessageContaining("'" + key + "': expected ");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "resize_mode | {\"resize_mode\": \"tile\"}",
        "mode | {\"mode\": \"RGBA\"}",
        "size | {\"size\": [12, 13]}",
        "interpolation | {\"interpolation\": \"nearest\"}",
        "fill_color | {\"fill_color\": 256}",
      })
  void soDoOpenClips(String key, String config) {
    assertThatThrownBy(() -> PictureProcessorConfig.openClip(Config.parse("c", config), 12))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("'" + key + "': expected ");
  }

  @Test
  void aPictureThatCannotGetTheModelsSizeIsNamed() throws IOException {
    PictureProcessor uncut = clip("{\"size\": 12, \"do_center_crop\": false}", 12);
    PictureBatch picture = new PictureBatch(new float[30 * 20 * 3], 1, 20, 30);
    assertThatThrownBy(() -> uncut.prepare(picture))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("30 x 20 pixels becomes one of 18 x 12")
        .hasMessageContaining("expected 12 x 12");
  }
}
