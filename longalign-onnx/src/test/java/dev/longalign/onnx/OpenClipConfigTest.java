package dev.longalign.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.preference.PictureProcessor;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What open_clip can build and this does not compute is refused by its name. */
class OpenClipConfigTest {
  private static final Path MODEL = Path.of("src/test/resources/preference/open_clip_config");
  private static final String WEIGHTS = "open_clip_model.safetensors";
  private static final String CONFIG = "open_clip_config.json";

  @TempDir Path directory;

  @BeforeEach
  void copy() throws IOException {
    for (String file :
        List.of(WEIGHTS, CONFIG, "vocab.json", "merges.txt", "tokenizer_config.json")) {
      Files.copy(MODEL.resolve(file), directory.resolve(file));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "vision_cfg | pool_type | \"avg\"",
        "vision_cfg | attentional_pool | true",
        "vision_cfg | no_ln_pre | true",
        "vision_cfg | pos_embed_type | \"sin_cos_2d\"",
        "vision_cfg | qk_norm | true",
        "vision_cfg | scale_fc | true",
        "vision_cfg | timm_model_name | \"convnext_base\"",
        "vision_cfg | output_tokens | true",
        "vision_cfg | layers | [2, 2, 6, 2]",
        "vision_cfg | layers | 3",
        "vision_cfg | patch_size | 8",
        "vision_cfg | head_width | 10",
        "vision_cfg | something_newer | 3",
        "text_cfg | pool_type | \"last\"",
        "text_cfg | no_causal_mask | true",
        "text_cfg | embed_cls | true",
        "text_cfg | proj_bias | true",
        "text_cfg | proj_type | \"none\"",
        "text_cfg | hf_model_name | \"roberta-base\"",
        "text_cfg | hf_tokenizer_name | \"t5-base\"",
        "text_cfg | tokenizer_kwargs | {\"clean\": \"canonicalize\"}",
        "text_cfg | heads | 5",
        "text_cfg | act_kwargs | {\"approximate\": \"sigmoid\"}",
        "text_cfg | norm_kwargs | {\"elementwise_affine\": false}",
        "text_cfg | block_type | \"custom\"",
        " | multimodal_cfg | {\"width\": 3}",
        " | quick_gelu | \"yes\"",
      })
  void keysThatChangeWhatIsComputed(String tower, String key, String value) throws IOException {
    JsonObject config =
        JsonParser.parseString(Files.readString(directory.resolve(CONFIG))).getAsJsonObject();
    JsonObject model = config.getAsJsonObject("model_cfg");
    (tower == null ? model : model.getAsJsonObject(tower)).add(key, JsonParser.parseString(value));
    Files.writeString(directory.resolve(CONFIG), config.toString());
    assertThatThrownBy(() -> PreferenceModel.open(directory, 1))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(CONFIG)
        .hasMessageContaining("'" + key + "': expected ");
  }

  @Test
  void tensorsThatNothingReads() {
    Path file = directory.resolve(WEIGHTS);
    List<StoredTensor> tensors = new ArrayList<>();
    try (TensorFile opened = TensorFiles.open(file)) {
      opened.names().forEach(name -> tensors.add(opened.tensor(name)));
      for (String name :
          List.of(
              "visual.transformer.resblocks.0.attn.ln_q.weight",
              "visual.attn_pool.query",
              "text.cls_emb",
              "logit_bias")) {
        tensors.add(StoredTensor.ofFloats(name, DType.F32, Shape.of(1), new float[1]));
      }
      SafetensorsWriter.write(directory.resolve("open_clip_more.safetensors"), tensors, Map.of());
    }
    assertThatThrownBy(
            () ->
                PreferenceModel.open(directory.resolve("open_clip_more.safetensors"), directory, 1))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("found 3 that it has no use for: ")
        .hasMessageContaining("visual.attn_pool.query")
        .hasMessageContaining("cls_emb")
        .hasMessageNotContaining("logit_bias");
  }

  @Test
  void theProcessorIsTheConfigsElseHpsV2sByItsNameElseOpenClips() throws IOException {
    try (PreferenceModel model = PreferenceModel.open(directory, 1)) {
      assertThat(model.processor().fit()).isEqualTo(PictureProcessor.Fit.EXACT);
      assertThat(model.preprocessing().mean()).containsExactly(0.5f, 0.5f, 0.5f);
    }
    Files.delete(directory.resolve(CONFIG));
    Path renamed = directory.resolve("HPS_v2.1_compressed.safetensors");
    Files.copy(directory.resolve(WEIGHTS), renamed);
    try (PreferenceModel model = PreferenceModel.open(renamed, directory, 1)) {
      assertThat(model.processor().fit()).isEqualTo(PictureProcessor.Fit.LONGEST);
      assertThat(model.processor().bytes()).isFalse();
    }
    try (PreferenceModel model = PreferenceModel.open(directory.resolve(WEIGHTS), directory, 1)) {
      assertThat(model.processor().fit()).isEqualTo(PictureProcessor.Fit.SHORTEST);
      assertThat(model.processor().bytes()).isTrue();
    }
  }
}
