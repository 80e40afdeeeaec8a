package dev.longalign.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.text.EncoderProvider;
import dev.longalign.text.TextReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tokenizers and embeddings that do not belong together are told when they are opened. */
class TextReaderTest {
  private static final Path GOLDEN = Path.of("../longalign-api/src/test/golden");
  private static final Path TINY = GOLDEN.resolve("models/tiny-longsd");
  private static final EncoderProvider PROVIDER = new OnnxEncoderProvider();

  @TempDir Path temp;

  @Test
  void aTokenizerOfAnotherModelIsNamed() {
    Path vocabulary = GOLDEN.resolve("text/clip_vocab");
    Path encoder = TINY.resolve("text_encoder");
    assertThatThrownBy(() -> TextReader.clip(PROVIDER, vocabulary, encoder, 1))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(
            vocabulary + ": expected ids from 0 to 1213, for which " + encoder + " has embeddings")
        .hasMessageContaining("found ids to 49407 (\"<|endoftext|>\")");
    try (TextReader fitting = TextReader.clip(PROVIDER, TINY.resolve("tokenizer"), encoder, 1)) {
      assertThat(fitting.encoder().vocabSize()).isEqualTo(fitting.tokenizer().size());
    }
  }

  @Test
  void soIsOneTokenTooMany() throws IOException {
    copy(TINY.resolve("t5"));
    Files.writeString(temp.resolve("tokenizer_config.json"), "{}");
    JsonObject json =
        JsonParser.parseString(Files.readString(temp.resolve("config.json"))).getAsJsonObject();
    StringBuilder added = new StringBuilder("{\"<red-toy>\": ");
    int rows = json.get("vocab_size").getAsInt();
    // The tokenizer gives added tokens the next ids: as many as it takes to pass the last row.
    int next = 699;
    added.append(next);
    for (int id = next + 1; id <= rows; id++) {
      added.append(", \"<red-toy-").append(id).append(">\": ").append(id);
    }
    Files.writeString(temp.resolve("added_tokens.json"), added.append("}").toString());
    assertThatThrownBy(() -> TextReader.t5(PROVIDER, temp, 1))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("found ids to " + rows);
  }

  @Test
  void scorersSayItToo() throws IOException {
    copy(Path.of("src/test/resources/preference/quick_gelu"));
    Files.writeString(temp.resolve("added_tokens.json"), "{\"<red-toy>\": 1214}");
    assertThatThrownBy(() -> PreferenceModel.open(temp, 1))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("found ids to 1214 (\"<red-toy>\")");
  }

  private void copy(Path directory) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      for (Path file : List.copyOf(files.toList())) {
        Files.copy(file, temp.resolve(file.getFileName()));
      }
    }
  }
}
