package dev.longalign;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.io.PictureFile;
import dev.longalign.scheduler.Scheduler;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

final class PictureSettingsTest {
  private static final Provenance PROVENANCE =
      new Provenance(
          "stable-diffusion-v1-5",
          Optional.of("adapter"),
          List.of("align.pt:1.0", "reward, old.pt:0.5"),
          "cpu",
          "bf16",
          "longalign-java 1");

  @TempDir Path temp;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "a plain prompt",
        "",
        "two\nlines, with: colons\nNegative prompt: that is none\nSteps: 3, Seed: 4, Size: 8x8",
        "caf\u00e9 \u4e2d\u6587 \ud83d\ude80 \u201cquoted\u201d \t tab",
        "NUL \u0000 and half a pair \ud83d"
      })
  void ourOwnChunkLosesNothing(String prompt) {
    SampleRequest request = full(prompt);
    Path png = write(PictureSettings.chunks(request, 9, PROVENANCE));
    PictureSettings settings = PictureSettings.read(png);
    assertThat(settings.request()).isEqualTo(request.toBuilder().seeds(List.of(9L)).build());
    assertThat(settings.provenance()).contains(PROVENANCE);
    assertThat(settings.fromInitImage()).isFalse();
    assertThat(SampleRequest.fromPng(png)).isEqualTo(settings.request());
  }

  @Test
  void parametersAreWhatWebUisWrite() {
    SampleRequest request =
        SampleRequest.of("A prompt.\nTwo lines.").toBuilder()
            .negativePrompt("blurry")
            .build()
            .resolve(7.5f, 512, 768);
    assertThat(ParametersText.write(request, 42, PROVENANCE))
        .isEqualTo(
            """
            A prompt.
            Two lines.
            Negative prompt: blurry
            Steps: 25, Sampler: UniPC, CFG scale: 7.5, Seed: 42, Size: 512x768, \
            Model: stable-diffusion-v1-5, RNG: CPU, \
            Loras: "align.pt:1.0, reward, old.pt:0.5", Version: longalign-java 1""");
  }

  @ParameterizedTest
  @EnumSource(Scheduler.class)
  void parametersAloneRepeatARequest(Scheduler scheduler) {
    SampleRequest request =
        full("A prompt. Two sentences.").toBuilder()
            .scheduler(scheduler)
            .splitter(Splitter.REFERENCE)
            .strict(false)
            .build();
    Path png = write(Map.of("parameters", ParametersText.write(request, 3, PROVENANCE)));
    assertThat(SampleRequest.fromPng(png)).isEqualTo(request);
  }

  @Test
  void readsAnotherProgramsParameters() {
    String text =
        "masterpiece, (a cat:1.2)\nNegative prompt: bad, worse\nSteps: 20, Sampler: Euler a,"
            + " Schedule type: Automatic, CFG scale: 7, Seed: 1234567890123, Size: 640x512, Model hash:"
            + " 6ce0161689, Model: v1-5, Lora hashes: \"x: 123, y: 456\", Version: v1.10.1";
    SampleRequest request = ParametersText.read(text, "cat.png").request();
    assertThat(request.prompt()).isEqualTo("masterpiece, (a cat:1.2)");
    assertThat(request.negativePrompt()).isEqualTo("bad, worse");
    assertThat(request.scheduler()).isEqualTo(Scheduler.EULER_ANCESTRAL);
    assertThat(request.effectiveSteps()).isEqualTo(20);
    assertThat(request.guidanceScale()).contains(7f);
    assertThat(request.seeds()).containsExactly(1234567890123L);
    assertThat(request.width()).hasValue(640);
  }

  @Test
  void refusesWhatItCannotRepeat() {
    assertThatThrownBy(() -> ParametersText.read("just a prompt", "x.png"))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("x.png");
    assertThatThrownBy(() -> ParametersText.read("p\nSteps: 20, Sampler: Heun, Seed: 1", "x.png"))
        .hasMessageContaining("x.png")
        .hasMessageContaining("DPM++ 2M")
        .hasMessageContaining("found Heun");
    assertThatThrownBy(() -> ParametersText.read("p\nSteps: 20, Size: 500x500, Seed: 1", "x.png"))
        .hasMessageContaining("use 496 or 504");
    assertThatThrownBy(() -> PictureSettings.read(write(Map.of("Comment", "hello"))))
        .hasMessageContaining("[Comment]");
    assertThatThrownBy(() -> PictureSettings.read(write(Map.of("longalign", "{\"format\":1}"))))
        .isInstanceOf(LongAlignException.class);
    assertThatThrownBy(() -> PictureSettings.read(write(Map.of("longalign", "{\"format\":2}"))))
        .hasMessageContaining("found 2");
    assertThatThrownBy(() -> PictureSettings.read(write(Map.of("longalign", "[nonsense"))))
        .isInstanceOf(LongAlignException.class);
  }

  @Test
  void aPictureMadeFromAnotherSaysSo() {
    SampleRequest request =
        full("p").toBuilder()
            .initImage(new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB))
            .strength(0.6f)
            .build();
    Path png = write(PictureSettings.chunks(request, 3, PROVENANCE));
    assertThat(PictureSettings.read(png).fromInitImage()).isTrue();
    assertThat(PictureSettings.read(png).request().strength()).isEqualTo(0.6f);
    assertThatThrownBy(() -> SampleRequest.fromPng(png)).hasMessageContaining("initImage");
  }

  private static SampleRequest full(String prompt) {
    return SampleRequest.builder()
        .prompt(prompt)
        .negativePrompt("blurry, \u00fcgly")
        .scheduler(Scheduler.DDIM)
        .steps(17)
        .guidanceScale(3.25f)
        .seed(3)
        .size(504, 96)
        .eta(0.5f)
        .generator(Generator.TORCH_CUDA)
        .splitter(Splitter.SENTENCES)
        .strict(true)
        .build();
  }

  private Path write(Map<String, String> chunks) {
    Path png = temp.resolve("picture.png");
    PictureFile.writePng(png, new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB), chunks);
    return png;
  }
}
