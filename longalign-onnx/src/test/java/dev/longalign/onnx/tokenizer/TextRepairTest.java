package dev.longalign.onnx.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Against texts and ids recorded from ftfy 6.3.1 and transformers 4.57.6. */
class TextRepairTest {

  @Test
  void repairsWhatFtfyRepairsAndNothingElse() {
    JsonArray cases = cases("text-repair.json");
    assertThat(cases).isNotEmpty();
    for (JsonElement e : cases) {
      JsonObject test = e.getAsJsonObject();
      String text = test.get("text").getAsString();
      assertThat(TextRepair.repair(text)).as(text).isEqualTo(test.get("repaired").getAsString());
    }
  }

  @Test
  void surrogatesArePairedOrReplaced() {
    assertThat(TextRepair.repair("a\ud83d\ude00b\ud83dc\ude00"))
        .isEqualTo("a\ud83d\ude00b\ufffdc\ufffd");
  }

  @Test
  void aTagTurnsEntitiesOffForTheRestOfTheText() {
    assertThat(TextRepair.repair("&amp;\n<b>&amp;\n&amp;")).isEqualTo("&\n<b>&amp;\n&amp;");
  }

  @Test
  void randomTextGivesTheIdsOfTheReference() {
    List<String> differences = new ArrayList<>();
    JsonArray cases = cases("random-text.json");
    assertThat(cases).hasSizeGreaterThan(200);
    try (Tokenizer slow = ClipTokenizers.openSlow(Golden.CLIP);
        Tokenizer fast = ClipTokenizers.openFast(Golden.CLIP);
        Tokenizer t5 = T5Tokenizers.open(Golden.T5)) {
      for (JsonElement e : cases) {
        JsonObject test = e.getAsJsonObject();
        compare(slow, test, "slow", differences);
        compare(fast, test, "fast", differences);
        compare(t5, test, "t5", differences);
      }
    }
    assertThat(differences).isEmpty();
  }

  private static void compare(
      Tokenizer tokenizer, JsonObject test, String field, List<String> differences) {
    String text = test.get("text").getAsString();
    int[] expected = Golden.ids(test, field, "slow");
    int[] got = tokenizer.encode(text);
    if (!Arrays.equals(expected, got)) {
      differences.add(
          field
              + ", "
              + text
              + ": expected "
              + Arrays.toString(expected)
              + ", got "
              + Arrays.toString(got));
    }
  }

  private static JsonArray cases(String resource) {
    return JsonParser.parseString(Resources.text(resource))
        .getAsJsonObject()
        .getAsJsonArray("cases");
  }
}
