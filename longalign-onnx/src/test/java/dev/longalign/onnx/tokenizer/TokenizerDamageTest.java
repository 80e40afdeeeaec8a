package dev.longalign.onnx.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.text.Tokenizer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Files with bytes that were changed, left out or repeated: they work or are refused, no more. */
@Timeout(120)
class TokenizerDamageTest {
  private static final List<String> TEXTS =
      List.of(
          "a red circle </s><pad> <extra_id_3>  <|endoftext|>don't \ufb01 \u212b\u0301 \u0958\u0301",
          "\u0000\r\n\u2581\u00a8\u3000\uff76\uff9e\ud83d\ude00\ud800 \ufdfa",
          "ab".repeat(2000));

  @TempDir Path directory;

  private interface Opening {
    Tokenizer open(Path directory);
  }

  @Test
  void tokenizerJsonOfT5() throws IOException {
    JsonObject json =
        JsonParser.parseString(Files.readString(Golden.T5.resolve("tokenizer.json")))
            .getAsJsonObject();
    byte[] whole = bytes(json);
    JsonObject normalizer = json.getAsJsonObject("normalizer");
    String map = normalizer.remove("precompiled_charsmap").getAsString();
    damage("tokenizer.json", whole, 25, T5Tokenizers::open);
    normalizer.addProperty("type", "Strip");
    damage("tokenizer.json", bytes(json), 500, T5Tokenizers::open);
    damageMap(Base64.getDecoder().decode(map), 80);
  }

  @Test
  void spieceModel() throws IOException {
    byte[] whole = Files.readAllBytes(Golden.T5.resolve("spiece.model"));
    damage("spiece.model", whole, 25, T5Tokenizers::open);
    damage("spiece.model", Arrays.copyOf(whole, 12_000), 1000, T5Tokenizers::open);
  }

  @Test
  void filesOfClip() throws IOException {
    Path clip = Golden.ROOT.resolve("models/tiny-longsd/tokenizer");
    List<String> files =
        List.of("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json");
    for (String file : files) {
      Files.copy(clip.resolve(file), directory.resolve(file));
    }
    for (String file : files) {
      byte[] whole = Files.readAllBytes(clip.resolve(file));
      damage(file, whole, 60, ClipTokenizers::openFast);
      damage(file, whole, 60, ClipTokenizers::openSlow);
      Files.write(directory.resolve(file), whole);
    }
  }

  @Test
  void whatWouldTakeTheProcessDownIsRefused() throws IOException {
    refuses(
        "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"}", "precompiled_charsmap");
    refuses(
        "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"(a|a|aa)+$\"}, \"content\": \"x\"}",
        "as 'normalizer.pattern.Regex', found \"(a|a|aa)+$\"");
    refuses(
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \"aa\"}",
        "so that texts cannot grow");
    refuses("{\"type\": \"NFKC\"}", "as 'normalizer.type', found \"NFKC\"");
    refuses("[".repeat(200) + "]".repeat(200), "as 'normalizer.type'");
  }

  private void refuses(String normalizer, String message) throws IOException {
    JsonObject json =
        JsonParser.parseString(Files.readString(Golden.T5.resolve("tokenizer.json")))
            .getAsJsonObject();
    json.add("normalizer", JsonParser.parseString(normalizer));
    Files.writeString(directory.resolve("tokenizer.json"), json.toString());
    assertThatThrownBy(() -> T5Tokenizers.open(directory))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(directory.resolve("tokenizer.json") + ": expected ")
        .hasMessageContaining(message);
  }

  private void damage(String name, byte[] whole, int times, Opening opening) throws IOException {
    Random random = new Random(name.hashCode() + times);
    int opened = 0;
    for (int i = 0; i < times; i++) {
      Files.write(directory.resolve(name), mutated(whole, random));
      try (Tokenizer tokenizer = opening.open(directory)) {
        TEXTS.forEach(tokenizer::encode);
        opened++;
      } catch (LongAlignException e) {
        assertThat(e).hasMessageContaining(directory.toString());
        assertThat(e.getMessage()).hasSizeLessThan(1200);
      }
    }
    assertThat(opened).as(name).isLessThan(times);
  }

  private static void damageMap(byte[] map, int times) throws IOException {
    Random random = new Random(9);
    for (int i = 0; i < times; i++) {
      // Half of the changes where every text passes by.
      byte[] changed = map.clone();
      for (int n = random.nextInt(8); n >= 0; n--) {
        int near = 4 * 300;
        changed[random.nextInt(random.nextBoolean() ? near : map.length)] = (byte) random.nextInt();
      }
      try {
        CharsMap opened = new CharsMap(changed);
        for (int c = 0; c < 0x3000; c++) {
          if (!Character.isSurrogate((char) c)) {
            opened.apply(new Slice((char) c + "\u0301" + (char) c, 0));
          }
        }
      } catch (IOException e) {
        assertThat(e).hasMessageStartingWith("a character map ");
      }
    }
  }

  /** One to four changes of bytes, cuts or repetitions. */
  private static byte[] mutated(byte[] whole, Random random) {
    byte[] bytes = whole.clone();
    for (int n = random.nextInt(4); n >= 0; n--) {
      int at = random.nextInt(bytes.length);
      int length = Math.min(bytes.length - at, 1 + random.nextInt(40));
      switch (random.nextInt(5)) {
        case 0 -> bytes[at] = (byte) random.nextInt();
        case 1 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
        case 2 -> bytes[at] = (byte) "0129-+.eE\"\\,:[]{} ntf".charAt(random.nextInt(21));
        case 3 -> System.arraycopy(bytes, random.nextInt(bytes.length - length), bytes, at, length);
        default -> {
          byte[] shorter = Arrays.copyOf(bytes, bytes.length - length);
          System.arraycopy(bytes, at + length, shorter, at, shorter.length - at);
          bytes = shorter;
        }
      }
    }
    return bytes;
  }

  private static byte[] bytes(JsonObject json) {
    return json.toString().getBytes(StandardCharsets.UTF_8);
  }
}
