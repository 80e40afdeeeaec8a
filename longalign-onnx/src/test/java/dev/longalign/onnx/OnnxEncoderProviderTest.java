package dev.longalign.onnx;

import static dev.longalign.onnx.Expected.GOLDEN;
import static dev.longalign.onnx.Expected.assertClose;
import static org.assertj.core.api.Assertions.assertThat;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtProvider;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.tensor.Device;
import dev.longalign.text.EncoderProvider;
import dev.longalign.text.TextEncoder;
import dev.longalign.text.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** From text to hidden states through the service alone. */
class OnnxEncoderProviderTest {
  private static final Path TINY = GOLDEN.resolve("models/tiny-longsd");
  private static final Path ENCODE = GOLDEN.resolve("encode/encode.safetensors");

  @Test
  void isFoundAndReadsAPipeline() {
    EncoderProvider provider = ServiceLoader.load(EncoderProvider.class).findFirst().orElseThrow();
    assertThat(provider).isInstanceOf(OnnxEncoderProvider.class);
    try (Tokenizer clipTokenizer = provider.clipTokenizer(TINY.resolve("tokenizer"));
        Tokenizer t5Tokenizer = provider.t5Tokenizer(TINY.resolve("t5"));
        TextEncoder clip = provider.clipTextEncoder(TINY.resolve("text_encoder"), 0);
        TextEncoder t5 = provider.t5Encoder(TINY.resolve("t5"), 0)) {
      int[][] expectedIds = Expected.ids(ENCODE, "input_ids_clip");
      List<String> segments =
          List.of(
              "",
              "The image shows a cosy kitchen in the early morning.",
              " A copper kettle is steaming on a blue gas stove, next to a loaf of rye bread and a bowl of green"
                  + " apples.");
      int length = expectedIds[0].length;
      int[][] ids =
          Tokenizer.pad(
              clipTokenizer.encodeAll(segments),
              length,
              clipTokenizer.padId(),
              clipTokenizer.eosId());
      for (int i = 0; i < ids.length; i++) {
        assertThat(ids[i]).isEqualTo(expectedIds[i]);
      }
      assertClose(clip.encode(ids), Expected.tensor(ENCODE, "clip_hidden_first3"), 1e-4);

      int[][] empty =
          Tokenizer.pad(
              t5Tokenizer.encodeAll(List.of("")), 240, t5Tokenizer.padId(), t5Tokenizer.eosId());
      assertThat(empty[0]).isEqualTo(Expected.ids(ENCODE, "input_ids_t5")[0]);
      assertThat(t5.encode(empty).width()).isEqualTo(48);
    }
  }

  /** With the artifact for CPUs: what was asked for is said to be impossible, and all works. */
  @Test
  void whereThisRuntimeHasNoCudaModelsRunOnTheCpu() throws Exception {
    OnnxRuntime.environment();
    Assumptions.assumeFalse(
        OrtEnvironment.getAvailableProviders().contains(OrtProvider.CUDA), "onnxruntime_gpu");
    Path directory = TINY.resolve("text_encoder");
    Path denscore = TINY.resolve("denscore");
    int[][] ids = {Expected.ids(ENCODE, "input_ids_clip")[0]};
    List<int[]> text = List.of(new int[] {1, 2});
    PrintStream before = System.err;
    ByteArrayOutputStream log = new ByteArrayOutputStream();
    System.setErr(new PrintStream(log, true, StandardCharsets.UTF_8));
    try (TextEncoder cpu = EncoderProvider.find().clipTextEncoder(directory, 1);
        TextEncoder cuda = EncoderProvider.find().on(Device.cuda(1)).clipTextEncoder(directory, 1);
        PreferenceModel scorer = PreferenceModel.open(denscore, 1);
        PreferenceModel onCuda = PreferenceModel.open(denscore, denscore, 1, Device.cuda(1))) {
      assertThat(cuda.encode(ids).values()).containsExactly(cpu.encode(ids).values());
      assertThat(onCuda.textFeatures(text).values())
          .containsExactly(scorer.textFeatures(text).values());
    } finally {
      System.setErr(before);
    }
    assertThat(log.toString(StandardCharsets.UTF_8))
        .contains("text encoders run on the CPU", "preference models run on the CPU", "cuda:1")
        .contains("onnxruntime_gpu");
  }
}
