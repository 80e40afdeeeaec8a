package dev.longalign.onnx.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Against ids that transformers 4.57 with ftfy 6.3.1 gave for OpenAI's vocabulary. */
class ClipTokenizersTest {
  private static Tokenizer slow;
  private static Tokenizer fast;

  @BeforeAll
  static void open() {
    slow = ClipTokenizers.openSlow(Golden.CLIP);
    fast = ClipTokenizers.openFast(Golden.CLIP);
  }

  @AfterAll
  static void close() {
    slow.close();
    fast.close();
  }

  @Test
  void slowGivesTheIdsOfTheReferenceForEveryCase() {
    assertThat(differences(slow, "slow_ftfy")).isEmpty();
  }

  @Test
  void fastGivesTheIdsOfTheReferenceForEveryCase() {
    assertThat(differences(fast, "fast")).isEmpty();
  }

  @Test
  void theTwoDifferWhereTheReferenceSaysSo() {
    int differing = 0;
    for (JsonElement e : Golden.read("text/clip_ids.json").getAsJsonArray("cases")) {
      JsonObject test = e.getAsJsonObject();
      String text = test.get("text").getAsString();
      boolean same = test.get("fast").isJsonPrimitive();
      differing += same ? 0 : 1;
      assertThat(Arrays.equals(slow.encode(text), fast.encode(text))).as(text).isEqualTo(same);
    }
    assertThat(differing).isPositive();
  }

  @Test
  void specialIdsAndNamesComeFromTheFiles() {
    for (Tokenizer tokenizer : List.of(slow, fast)) {
      assertThat(tokenizer.bosId()).isEqualTo(49406);
      assertThat(tokenizer.eosId()).isEqualTo(49407);
      assertThat(tokenizer.padId()).isEqualTo(49407);
      assertThat(tokenizer.modelMaxLength()).isEqualTo(77);
      assertThat(tokenizer.token(49406)).isEqualTo("<|startoftext|>");
      assertThat(tokenizer.token(3306)).isEqualTo("hello</w>");
      assertThat(tokenizer.token(-5)).isEqualTo("<unknown id -5>");
    }
  }

  @Test
  void batchesArePaddedAndCutAsTheReferenceDoes() {
    int rows = 0;
    for (JsonElement e : Golden.read("text/clip_ids.json").getAsJsonArray("batches")) {
      JsonObject batch = e.getAsJsonObject();
      Tokenizer tokenizer = batch.get("call").getAsString().startsWith("fast") ? fast : slow;
      List<String> texts = new ArrayList<>();
      batch.getAsJsonArray("texts").forEach(t -> texts.add(t.getAsString()));
      int[][] expected =
          batch.getAsJsonArray("input_ids").asList().stream()
              .map(Golden::ids)
              .toArray(int[][]::new);
      int[][] got =
          Tokenizer.pad(
              tokenizer.encodeAll(texts), expected[0].length, tokenizer.padId(), tokenizer.eosId());
      assertThat(got).as(batch.get("call").getAsString()).isDeepEqualTo(expected);
      rows += expected.length;
    }
    assertThat(rows).isPositive();
  }

  /** Every case that differs, as text: expected, got. */
  private static List<String> differences(Tokenizer tokenizer, String field) {
    List<String> differences = new ArrayList<>();
    for (JsonElement e : Golden.read("text/clip_ids.json").getAsJsonArray("cases")) {
      JsonObject test = e.getAsJsonObject();
      String text = test.get("text").getAsString();
      int[] expected = Golden.ids(test, field, "slow_ftfy");
      int[] got = tokenizer.encode(text);
      if (!Arrays.equals(expected, got)) {
        differences.add(
            text + ": expected " + Arrays.toString(expected) + ", got " + Arrays.toString(got));
      }
    }
    return differences;
  }
}
