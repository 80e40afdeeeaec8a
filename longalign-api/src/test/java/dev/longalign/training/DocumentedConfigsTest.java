package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The configs that docs/real-models.md hands out are ones that {@code longalign train} takes. */
class DocumentedConfigsTest {
  @TempDir Path folder;

  @ParameterizedTest
  @EnumSource(Stage.class)
  void isRead(Stage stage) throws Exception {
    String text = Files.readString(Path.of("../docs/real-models", stage.key() + ".yaml"));
    Files.createDirectories(folder.resolve("data/pictures"));
    Files.createFile(
        Files.createDirectories(folder.resolve("data/LongAlign")).resolve("0.parquet"));
    Files.createDirectories(folder.resolve("models/Denscore"));
    Path file = Files.writeString(folder.resolve("run.yaml"), text);

    RunConfig config = RunConfig.read(file, stage);

    assertThat(config.steps()).isGreaterThan(1000);
    assertThat(text).contains("# longalign train " + stage.key() + " --config " + stage.key());
  }
}
