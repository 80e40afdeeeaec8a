package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConfigTest {
  private static final Config CONFIG =
      Config.parse(
          "unet/config.json",
          """
      {"int": 4, "whole": 8.0, "half": 0.5, "big": 3000000000, "huge": 1e999999999, "text": "silu", "yes": true,
       "nothing": null, "ints": [320, 640], "mixed": [1, "2"], "bools": [true, false], "texts": ["a", "b"],
       "nested": {"int": "x", "deep": 7}}
      """);

  @TempDir Path directory;

  private static void refuses(Function<Config, Object> access, String message) {
    assertThatThrownBy(() -> access.apply(CONFIG))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessage(message);
  }

  @Test
  void givesTypedValues() {
    assertThat(CONFIG.getInt("int")).isEqualTo(4);
    assertThat(CONFIG.getInt("whole")).isEqualTo(8);
    assertThat(CONFIG.getLong("big")).isEqualTo(3_000_000_000L);
    assertThat(CONFIG.getFloat("half")).isEqualTo(0.5f);
    assertThat(CONFIG.getDouble("int")).isEqualTo(4.0);
    assertThat(CONFIG.getBoolean("yes")).isTrue();
    assertThat(CONFIG.getString("text")).isEqualTo("silu");
    assertThat(CONFIG.getIntList("ints")).containsExactly(320, 640);
    assertThat(CONFIG.getIntList("int", 3)).containsExactly(4, 4, 4);
    assertThat(CONFIG.getIntList("ints", 2)).containsExactly(320, 640);
    assertThat(CONFIG.getDoubleList("ints")).containsExactly(320.0, 640.0);
    assertThat(CONFIG.getBooleanList("bools")).containsExactly(true, false);
    assertThat(CONFIG.getStringList("texts")).containsExactly("a", "b");
    assertThat(CONFIG.getConfig("nested").getInt("deep")).isEqualTo(7);
    assertThat(CONFIG.isList("ints")).isTrue();
    assertThat(CONFIG.isList("int")).isFalse();
  }

  @Test
  void nullAndMissingGiveTheDefault() {
    assertThat(CONFIG.has("nothing")).isFalse();
    assertThat(CONFIG.getInt("nothing", 3)).isEqualTo(3);
    assertThat(CONFIG.getString("absent", "x")).isEqualTo("x");
    assertThat(CONFIG.getBoolean("absent", true)).isTrue();
    assertThat(CONFIG.getFloat("absent", 1e-5f)).isEqualTo(1e-5f);
    assertThat(CONFIG.getIntList("absent", List.of(1))).containsExactly(1);
    assertThat(CONFIG.getInt("int", 3)).isEqualTo(4);
  }

  @Test
  void refusalsNameFileKeyExpectedAndFound() {
    refuses(
        c -> c.getInt("text"),
        "unet/config.json: key 'text': expected an integer, found the string \"silu\"");
    refuses(
        c -> c.getInt("half"),
        "unet/config.json: key 'half': expected an integer, found the number 0.5");
    refuses(
        c -> c.getInt("big"),
        "unet/config.json: key 'big': expected an integer, found the number 3000000000");
    refuses(
        c -> c.getLong("huge"),
        "unet/config.json: key 'huge': expected an integer, found the number 1e999999999");
    refuses(
        c -> c.getInt("absent"),
        "unet/config.json: key 'absent': expected an integer, found nothing");
    refuses(
        c -> c.getInt("nothing"),
        "unet/config.json: key 'nothing': expected an integer, found null");
    refuses(
        c -> c.getInt("text", 1),
        "unet/config.json: key 'text': expected an integer, found the string \"silu\"");
    refuses(
        c -> c.getBoolean("int"),
        "unet/config.json: key 'int': expected true or false, found the number 4");
    refuses(
        c -> c.getIntList("mixed"),
        "unet/config.json: key 'mixed': expected a list of integers, found a list of 2 ([1,\"2\"])");
    refuses(
        c -> c.getIntList("ints", 3),
        "unet/config.json: key 'ints': expected an integer or a list of 3 integers, found a list of 2 ([320,640])");
    refuses(
        c -> c.getConfig("nested").getInt("int"),
        "unet/config.json: 'nested': key 'int': expected an integer, found the string \"x\"");
    refuses(
        c -> c.getString("nested"),
        "unet/config.json: key 'nested': expected a string, found an object");
  }

  @Test
  void readsFilesAndRefusesDamagedOnes() {
    Path path = directory.resolve("config.json");
    IoFixtures.write(path, "\uFEFF{\"int\": 1}");
    assertThat(Config.read(path).getInt("int")).isEqualTo(1);
    for (String damaged :
        List.of(
            "", "[1]", "{\"a\": ", "{\"a\" 1}", "[".repeat(200_000), "{\"a\":".repeat(200_000))) {
      IoFixtures.write(path, damaged);
      assertThatThrownBy(() -> Config.read(path))
          .isExactlyInstanceOf(LongAlignException.class)
          .hasMessageContaining("config.json");
    }
    IoFixtures.write(path, new byte[] {'{', '"', (byte) 0xff, '"', ':', '1', '}'});
    assertThatThrownBy(() -> Config.read(path)).hasMessageContaining("UTF-8");
  }
}
