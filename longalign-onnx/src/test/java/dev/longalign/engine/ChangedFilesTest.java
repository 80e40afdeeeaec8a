package dev.longalign.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlign;
import dev.longalign.LongAlignException;
import dev.longalign.io.FileStamp;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Weights that a download or {@code cp} cuts short or writes over while an engine is open: the
 * picture is the right one, or an error names the file. Where files are mapped into memory, these
 * tests end their process.
 */
final class ChangedFilesTest {
  private static final String T5 = "t5/model.safetensors";
  private static final String CLIP = "text_encoder/model.safetensors";

  @TempDir Path temp;
  private Path model;

  @BeforeEach
  void copy() throws IOException {
    model = temp.resolve("longsd");
    Path source = MiniModel.directory();
    try (Stream<Path> files = Files.walk(source)) {
      for (Path file : files.sorted().toList()) {
        Files.copy(file, model.resolve(source.relativize(file).toString()));
      }
    }
  }

  private void truncate(String file) throws IOException {
    try (FileChannel channel = FileChannel.open(model.resolve(file), StandardOpenOption.WRITE)) {
      channel.truncate(100);
    }
  }

  private LongAlign build() {
    return LongAlign.builder().model(model).build();
  }

  private static BufferedImage sample(LongAlign longAlign, int prompt) {
    return longAlign.sample(Engines.quick(prompt, 1).build()).image();
  }

  @Test
  void afterTheFirstPictureNoWeightsAreReadAnyMore() throws IOException {
    BufferedImage expected;
    try (LongAlign untouched = build()) {
      expected = sample(untouched, 1);
    }
    try (LongAlign longAlign = build()) {
      sample(longAlign, 0);
      List<Path> files;
      try (Stream<Path> all = Files.walk(model)) {
        files = all.filter(file -> file.toString().matches(".*\\.(safetensors|pt|model)")).toList();
      }
      for (Path file : files) {
        truncate(model.relativize(file).toString());
      }
      assertThat(Images.same(sample(longAlign, 1), expected)).isTrue();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {T5, CLIP})
  void cutBetweenBuildingAndTheFirstPicture(String file) throws IOException {
    try (LongAlign longAlign = build()) {
      truncate(file);
      assertThatThrownBy(() -> sample(longAlign, 0))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining(file + " changed while it was open");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {T5, CLIP, "unet/diffusion_pytorch_model.safetensors", "lora_vis.pt"})
  void cutBeforeBuilding(String file) throws IOException {
    truncate(file);
    assertThatThrownBy(
            () -> {
              try (LongAlign longAlign =
                  LongAlign.builder().model(model).lora(model.resolve("lora_vis.pt")).build()) {
                sample(longAlign, 0);
              }
            })
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(file);
  }

  /** The same bytes at another time may be other bytes: nobody compares them. */
  @ParameterizedTest
  @ValueSource(strings = {T5, CLIP, "tokenizer/vocab.json"})
  void writtenOverBeforeEncodersAreOpenedAgain(String file) throws IOException {
    try (LongAlign longAlign = LongAlign.builder().model(model).keepEncoders(false).build()) {
      sample(longAlign, 0);
      byte[] bytes = Files.readAllBytes(model.resolve(file));
      Files.write(model.resolve(file), bytes);
      Files.setLastModifiedTime(model.resolve(file), FileTime.fromMillis(1000));
      assertThatThrownBy(() -> sample(longAlign, 1))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining(file + " changed while it was open: it was written to at 1970");
    }
  }

  @Test
  void replacedByAnotherFile() throws IOException {
    FileStamp stamp = FileStamp.ofFolders(List.of(model.resolve("t5"))).get(0);
    stamp.check();
    Path other = temp.resolve("other");
    Files.copy(stamp.file(), other, StandardCopyOption.COPY_ATTRIBUTES);
    Files.move(other, stamp.file(), StandardCopyOption.REPLACE_EXISTING);
    assertThatThrownBy(stamp::check)
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("changed while it was open");
  }
}
