package dev.longalign.onnx.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Against ids that transformers gave for the miniature T5 vocabulary, from either of its files. */
class T5TokenizersTest {
  @TempDir Path directory;

  @Test
  void tokenizerJsonGivesTheIdsOfTheReferenceForEveryCase() {
    try (Tokenizer tokenizer = T5Tokenizers.open(Golden.T5)) {
      assertThat(differences(tokenizer)).isEmpty();
      assertThat(tokenizer.padId()).isZero();
      assertThat(tokenizer.eosId()).isEqualTo(1);
      assertThat(tokenizer.bosId()).isEqualTo(-1);
      assertThat(tokenizer.modelMaxLength()).isEqualTo(512);
    }
  }

  @Test
  void spieceModelAloneGivesTheSameIds() throws IOException {
    Files.copy(Golden.T5.resolve("spiece.model"), directory.resolve("spiece.model"));
    try (Tokenizer tokenizer = T5Tokenizers.open(directory)) {
      assertThat(differences(tokenizer)).isEmpty();
      assertThat(tokenizer.padId()).isZero();
      assertThat(tokenizer.eosId()).isEqualTo(1);
      assertThat(tokenizer.modelMaxLength()).isEqualTo(512);
      assertThat(tokenizer.token(698)).isEqualTo("<extra_id_0>");
    }
  }

  private static List<String> differences(Tokenizer tokenizer) {
    List<String> differences = new ArrayList<>();
    for (JsonElement e : Golden.read("text/t5_ids.json").getAsJsonArray("cases")) {
      JsonObject test = e.getAsJsonObject();
      String text = test.get("text").getAsString();
      int[] expected = Golden.ids(test.get("ids"));
      int[] got = tokenizer.encode(text);
      if (!Arrays.equals(expected, got)) {
        differences.add(
            text + ": expected " + Arrays.toString(expected) + ", got " + Arrays.toString(got));
      }
    }
    return differences;
  }
}
