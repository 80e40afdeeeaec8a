package dev.longalign.onnx;

import static dev.longalign.onnx.Expected.GOLDEN;
import static dev.longalign.onnx.Expected.assertClose;
import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.text.EncoderProvider;
import dev.longalign.text.TextEncoder;
import dev.longalign.text.Tokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.ServiceLoader;
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
}
