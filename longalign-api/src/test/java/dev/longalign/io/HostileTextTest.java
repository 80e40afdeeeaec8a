package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.longalign.LongAlignException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Configs that are small as text and would be large, deep or slow as values. */
class HostileTextTest {
  private static final Duration SOON = Duration.ofSeconds(5);

  static Stream<Arguments> yaml() {
    String bomb =
        "a0: &a0 [x, x, x, x]\n"
            + IntStream.range(1, 25)
                .mapToObj(i -> "a%d: &a%d [*a%d, *a%d]%n".formatted(i, i, i - 1, i - 1))
                .collect(Collectors.joining());
    String digits = "9".repeat(400_000);
    return Stream.of(
        Arguments.of(bomb, "line 2, column 10: expected a config, found an alias"),
        Arguments.of("formats: &a [*a]", "found an alias"),
        Arguments.of("&a {*a : *a}", "found an alias"),
        Arguments.of("a: " + "[".repeat(20_000), "more than 50 levels"),
        Arguments.of("{a: ".repeat(20_000), "more than 50 levels"),
        Arguments.of("- ".repeat(20_000) + "x", "more than 50 levels"),
        Arguments.of("? ".repeat(20_000) + "x", "more than 50 levels"),
        Arguments.of("a: " + digits, "a number of 400000 digits"),
        Arguments.of("a: -" + digits, "a number of 400001 digits"),
        Arguments.of("a: 0x" + digits, "a number of 400002 digits"),
        Arguments.of("a: 0o" + "7".repeat(400_000), "a number of 400002 digits"),
        Arguments.of("a: 1." + digits + "e5", "a number of 400004 digits"),
        Arguments.of(digits + ": 1", "a number of 400000 digits"),
        Arguments.of("a: [" + "0,".repeat(200_000) + "0]", "more than 20000 values"),
        Arguments.of("a: " + "x".repeat(4_000_000), "found 4000003"),
        Arguments.of("a: 1e999999999", "finite numbers"),
        Arguments.of("a: .nan", "finite numbers"),
        Arguments.of("a: [1", "line 1, column 6: expected ',' or ']'"),
        Arguments.of("a: 1\n\tb: 2", "line 2, column 1"),
        Arguments.of("a: 1\na: 2", "line 2, column 1: found duplicate key a"));
  }

  @ParameterizedTest
  @MethodSource("yaml")
  void yamlIsRefusedSoonAndInOneSentence(String text, String words) {
    assertTimeoutPreemptively(
        SOON,
        () ->
            assertThatThrownBy(() -> Config.parseYaml("run.yaml", text))
                .isInstanceOf(LongAlignException.class)
                .hasMessageStartingWith("run.yaml: ")
                .hasMessageContaining(words)
                .satisfies(
                    e -> assertThat(e.getMessage()).hasSizeLessThan(500).doesNotContain("\n")));
  }

  @Test
  void ordinaryYamlIsRead() {
    Config config =
        Config.parseYaml(
            "run.yaml",
            "a: 1e-3\nb: [1, 2]\nc: "
                + "3 red circles ".repeat(50)
                + "\nd: \""
                + "9".repeat(200)
                + "\"\n");
    assertThat(config.getDouble("a")).isEqualTo(1e-3);
    assertThat(config.getIntList("b")).containsExactly(1, 2);
    assertThat(config.getString("c")).startsWith("3 red");
    assertThat(config.getString("d")).hasSize(200);
  }

  static Stream<Arguments> json() {
    return Stream.of(
        Arguments.of("{\"a\":".repeat(100_000), "Nesting limit"),
        Arguments.of("{\"a\":" + "[".repeat(100_000), "Nesting limit"),
        Arguments.of("{\"a\":[" + "0,".repeat(4_000_000) + "0]}", "at most 3000000 values"));
  }

  @ParameterizedTest
  @MethodSource("json")
  void jsonIsRefusedSoonAndInOneSentence(String text, String words) {
    assertTimeoutPreemptively(
        SOON,
        () ->
            assertThatThrownBy(() -> Config.parse("config.json", text))
                .isInstanceOf(LongAlignException.class)
                .hasMessageStartingWith("config.json: ")
                .hasMessageContaining(words));
  }

  @Test
  void numbersWithoutEndAreNoIntegers() {
    Config config = Config.parse("config.json", "{\"a\": " + "9".repeat(400_000) + "}");
    assertTimeoutPreemptively(
        SOON,
        () ->
            assertThatThrownBy(() -> config.getLong("a"))
                .isInstanceOf(LongAlignException.class)
                .hasMessageContaining("expected an integer")
                .satisfies(e -> assertThat(e.getMessage()).hasSizeLessThan(500)));
  }

  @Test
  void pathsThatNoSystemHasAreRefused() {
    Config config = Config.parseYaml("run.yaml", "a: \"x\\0y\"\nb: x");
    assertThatThrownBy(() -> config.getPath("a", Path.of("base")))
        .isInstanceOf(LongAlignException.class)
        .hasMessage("run.yaml: key 'a': expected the path of a file, found 'x?y'");
    assertThat(config.getPath("b", Path.of("base"))).isEqualTo(Path.of("base", "x"));
  }
}
