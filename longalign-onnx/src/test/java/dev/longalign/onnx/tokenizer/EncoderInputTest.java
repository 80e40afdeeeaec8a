package dev.longalign.onnx.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.text.EncodingReport;
import dev.longalign.text.SegmentSplitter;
import dev.longalign.text.Tokenizer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** From captions to what the miniature encoders read, as the reference's caption2embed did. */
class EncoderInputTest {
  private static final Path MODEL = Golden.ROOT.resolve("models/tiny-longsd");

  @Test
  void segmentsAndIdsAreThoseOfTheReference() throws IOException {
    List<String> captions = captions();
    try (Tokenizer clip = ClipTokenizers.open(MODEL.resolve("tokenizer"));
        Tokenizer t5 = T5Tokenizers.open(MODEL.resolve("t5"))) {
      List<String> segments = new ArrayList<>();
      captions.forEach(caption -> segments.addAll(SegmentSplitter.reference().split(caption)));
      int[][] expected = tensor("input_ids_clip");
      assertThat(
              Tokenizer.pad(
                  clip.encodeAll(segments), expected[0].length, clip.padId(), clip.eosId()))
          .isDeepEqualTo(expected);
      assertThat(Tokenizer.pad(t5.encodeAll(captions), 240, t5.padId(), t5.eosId()))
          .isDeepEqualTo(tensor("input_ids_t5"));
    }
  }

  @Test
  void theReportAccountsForEveryToken() throws IOException {
    int complete = 0;
    int[] kept =
        Golden.ids(
            Golden.read("encode/encode.json")
                .getAsJsonObject("values")
                .getAsJsonObject("kept_clip_tokens")
                .get("value"));
    List<String> captions = captions();
    try (Tokenizer clip = ClipTokenizers.open(MODEL.resolve("tokenizer"));
        Tokenizer t5 = T5Tokenizers.open(MODEL.resolve("t5"))) {
      for (int i = 0; i < kept.length; i++) {
        String caption = captions.get(i);
        List<String> texts = SegmentSplitter.reference().split(caption);
        List<int[]> ids = clip.encodeAll(texts);
        EncodingReport report =
            EncodingReport.builder(caption)
                .clip(clip, 77, 240)
                .segments(texts, ids)
                .t5(t5, t5.encode(caption), 240)
                .build();
        int tokens = ids.stream().mapToInt(row -> row.length - 1).sum();
        int lost = (int) report.lostTokens().stream().filter(t -> t.segment() >= 0).count();
        assertThat(report.tokens() + lost).as(caption).isEqualTo(tokens);
        assertThat(report.tokens()).isEqualTo(Math.min(240, kept[i]));
        assertThat(report.losses().getOrDefault(EncodingReport.Cut.TOKEN_LENGTH, 0))
            .isEqualTo(Math.max(0, kept[i] - 240));
        boolean fits =
            tokens <= 240
                && ids.stream().allMatch(row -> row.length <= 77)
                && report.t5().ids().size() <= 240;
        assertThat(report.isComplete()).as(report.toString()).isEqualTo(fits);
        complete += fits ? 1 : 0;
      }
    }
    assertThat(complete).isBetween(1, captions.size() - 1); // the vectors hold both kinds
  }

  private static List<String> captions() {
    List<String> captions = new ArrayList<>();
    Golden.read("encode/encode.json")
        .getAsJsonObject("values")
        .getAsJsonArray("captions")
        .forEach(caption -> captions.add(caption.getAsString()));
    return captions;
  }

  private static int[][] tensor(String name) throws IOException {
    ByteBuffer file =
        ByteBuffer.wrap(Files.readAllBytes(Golden.ROOT.resolve("encode/encode.safetensors")))
            .order(ByteOrder.LITTLE_ENDIAN);
    byte[] header = new byte[(int) file.getLong()];
    file.get(header);
    JsonObject entry =
        JsonParser.parseString(new String(header, StandardCharsets.UTF_8))
            .getAsJsonObject()
            .getAsJsonObject(name);
    int[] shape = Golden.ids(entry.get("shape"));
    int start = 8 + header.length + entry.getAsJsonArray("data_offsets").get(0).getAsInt();
    int[][] rows = new int[shape[0]][shape[1]];
    file.position(start);
    Arrays.stream(rows)
        .forEach(
            row -> {
              for (int i = 0; i < row.length; i++) {
                row[i] = file.getInt();
              }
            });
    return rows;
  }
}
