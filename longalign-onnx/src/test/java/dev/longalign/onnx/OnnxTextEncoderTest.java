package dev.longalign.onnx;

import static dev.longalign.onnx.Expected.ENCODERS;
import static dev.longalign.onnx.Expected.GOLDEN;
import static dev.longalign.onnx.Expected.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.model.ClipTextConfig;
import dev.longalign.onnx.graph.ClipTextGraph;
import dev.longalign.tensor.Device;
import dev.longalign.text.HiddenStates;
import dev.longalign.text.TextEncoder;
import java.nio.LongBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Against transformers: the golden pipeline, and the random encoders of
 * src/test/python/encoders.py.
 */
class OnnxTextEncoderTest {
  private static final Path TINY = GOLDEN.resolve("models/tiny-longsd");
  private static final Path ENCODE = GOLDEN.resolve("encode/encode.safetensors");
  private static final double TOLERANCE = 1e-4;

  @Test
  void clipOfTheGoldenPipeline() {
    try (TextEncoder clip = OnnxTextEncoder.clip(TINY.resolve("text_encoder"), 1)) {
      assertThat(clip.width()).isEqualTo(64);
      assertThat(clip.maxLength()).isEqualTo(77);
      int[][] ids = Expected.ids(ENCODE, "input_ids_clip");
      HiddenStates states = clip.encode(ids);
      float[] first3 = Arrays.copyOf(states.values(), 3 * states.length() * states.width());
      assertClose(first3, Expected.tensor(ENCODE, "clip_hidden_first3").toFloats(), TOLERANCE);

      // The mean of the last 60 positions of the empty prompt.
      HiddenStates empty = clip.encode(new int[][] {emptyPrompt(ids)});
      float[] mean = new float[empty.width()];
      for (int i = 17; i < 77; i++) {
        for (int j = 0; j < mean.length; j++) {
          mean[j] += empty.values()[i * mean.length + j] / 60;
        }
      }
      assertClose(mean, Expected.tensor(ENCODE, "pad_embed").toFloats(), TOLERANCE);
    }
  }

  /** The first golden segment is '': start of text, then end of text up to 77. */
  private static int[] emptyPrompt(int[][] ids) {
    int[] row = new int[77];
    Arrays.fill(row, ids[0][1]);
    row[0] = ids[0][0];
    return row;
  }

  @Test
  void t5OfTheGoldenPipeline() {
    try (TextEncoder t5 = OnnxTextEncoder.t5(TINY.resolve("t5"), 1)) {
      assertThat(t5.width()).isEqualTo(48);
      HiddenStates states = t5.encode(Expected.ids(ENCODE, "input_ids_t5"));
      assertClose(states, Expected.tensor(ENCODE, "t5_hidden"), TOLERANCE);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "clip_quick_gelu",
        "clip_gelu_bf16",
        "clip_without_prefix",
        "clip_bin_f16",
        "clip_both_first_eos",
        "clip_both_largest_id",
        "t5_relu_sharded",
        "t5_gated_f16",
        "t5_gated_silu_long"
      })
  void randomEncoder(String name) {
    Path directory = ENCODERS.resolve(name);
    Path expected = directory.resolve("expected.safetensors");
    try (TextEncoder encoder = open(directory)) {
      HiddenStates states = encoder.encode(Expected.ids(expected, "input_ids"));
      assertClose(states, Expected.tensor(expected, "last_hidden_state"), TOLERANCE);
    }
  }

  private static TextEncoder open(Path directory) {
    boolean t5 = directory.getFileName().toString().startsWith("t5");
    return t5 ? OnnxTextEncoder.t5(directory, 1) : OnnxTextEncoder.clip(directory, 1);
  }

  @ParameterizedTest
  @ValueSource(strings = {"clip_both_first_eos", "clip_both_largest_id"})
  void pooledAndProjectedText(String name) {
    Path directory = ENCODERS.resolve(name);
    Path expected = directory.resolve("expected.safetensors");
    assertClose(
        run(directory, ClipTextGraph.Result.POOLED),
        Expected.tensor(expected, "pooled").toFloats(),
        TOLERANCE);
    assertClose(
        run(directory, ClipTextGraph.Result.PROJECTED),
        Expected.tensor(expected, "projected").toFloats(),
        TOLERANCE);
  }

  private static float[] run(Path directory, ClipTextGraph.Result result) {
    int[][] ids = Expected.ids(directory.resolve("expected.safetensors"), "input_ids");
    LongBuffer flat =
        LongBuffer.wrap(Arrays.stream(ids).flatMapToInt(Arrays::stream).asLongStream().toArray());
    ClipTextConfig config = ClipTextConfig.read(directory.resolve("config.json"));
    var graph = ClipTextGraph.build(config, ComponentDirectory.open(directory).weights(), result);
    try (OnnxWeights weights = new OnnxWeights();
        OnnxSession session =
            OnnxSession.open(graph, weights, directory.toString(), 1, Device.cpu())) {
      return session.run(ClipTextGraph.INPUT, flat, new long[] {ids.length, ids[0].length}, true);
    }
  }

  @Test
  void bigBatchIsTheSameAsOneAtATime() {
    try (TextEncoder clip = OnnxTextEncoder.clip(TINY.resolve("text_encoder"), 2)) {
      int[][] few = Expected.ids(ENCODE, "input_ids_clip");
      int[][] many =
          IntStream.range(0, 100).mapToObj(i -> few[i % few.length]).toArray(int[][]::new);
      HiddenStates together = clip.encode(many);
      int size = together.length() * together.width();
      for (int i = 0; i < many.length; i += 9) {
        float[] row = Arrays.copyOfRange(together.values(), i * size, (i + 1) * size);
        assertClose(row, clip.encode(new int[][] {many[i]}).values(), 1e-5);
      }
    }
  }

  @Test
  void emptyBatch() {
    try (TextEncoder clip = OnnxTextEncoder.clip(TINY.resolve("text_encoder"), 1)) {
      assertThat(clip.encode(new int[0][]).values()).isEmpty();
    }
  }

  @Test
  void manyThreadsShareAnEncoder() {
    int[][] ids = Expected.ids(ENCODE, "input_ids_t5");
    try (TextEncoder t5 = OnnxTextEncoder.t5(TINY.resolve("t5"), 2)) {
      float[] alone = t5.encode(ids).values();
      List<CompletableFuture<HiddenStates>> calls =
          IntStream.range(0, 6)
              .mapToObj(i -> CompletableFuture.supplyAsync(() -> t5.encode(ids)))
              .toList();
      calls.forEach(call -> assertClose(call.join().values(), alone, 1e-6));
    }
  }

  @Test
  void closedEncoderSaysSo() {
    TextEncoder clip = OnnxTextEncoder.clip(TINY.resolve("text_encoder"), 1);
    clip.close();
    clip.close();
    assertThatThrownBy(() -> clip.encode(new int[][] {{1, 2}}))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("text_encoder is closed");
  }

  @Test
  void refusesWhatTheModelCannotRead() {
    try (TextEncoder clip = OnnxTextEncoder.clip(TINY.resolve("text_encoder"), 1)) {
      assertThatThrownBy(() -> clip.encode(new int[][] {{1, 2}, {1, 1214}}))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("token 1 of sequence 1: expected an id from 0 to 1213")
          .hasMessageContaining("found 1214");
      assertThatThrownBy(() -> clip.encode(new int[][] {{-1}})).hasMessageContaining("found -1");
      assertThatThrownBy(() -> clip.encode(new int[1][78]))
          .hasMessageContaining("at most 77 tokens");
      assertThatThrownBy(() -> clip.encode(new int[][] {{1, 2}, {1}}))
          .hasMessageContaining("found 1 tokens in sequence 1");
    }
  }
}
