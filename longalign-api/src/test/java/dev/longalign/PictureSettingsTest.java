package dev.longalign;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.io.PictureFile;
import dev.longalign.pipeline.SamplingDefaults;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.scheduler.Scheduler;
import java.awt.image.BufferedImage;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

final class PictureSettingsTest {
  private static final String HASH = "0123456789abcdef".repeat(4);
  private static final Provenance PROVENANCE =
      new Provenance(
          part("stable-diffusion-v1-5", HASH),
          Optional.of(part("adapter", HASH)),
          Optional.of(part("t5-large", HASH)),
          List.of(lora("align.pt", HASH, 1), lora("reward, old.pt", "f".repeat(64), 0.5f)),
          Optional.of(TextEncoding.LONGALIGN),
          true,
          "cpu",
          Optional.of("cpu (oneDNN 3.11.0, 2 threads)"),
          "bf16",
          "longalign-java 1");

  @TempDir Path temp;

  private static Provenance.Part part(String name, String hash) {
    return new Provenance.Part(name, Optional.ofNullable(hash));
  }

  private static Provenance.LoraPart lora(String name, String hash, float scale) {
    return new Provenance.LoraPart(part(name, hash), scale);
  }

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
    assertThat(settings.differences(settings.request(), PROVENANCE)).isEmpty();
  }

  @Test
  void parametersAreWhatWebUisWrite() {
    SampleRequest request =
        SampleRequest.of("A prompt.\nTwo lines.").toBuilder()
            .negativePrompt("blurry")
            .build()
            .resolve(SamplingDefaults.STABLE_DIFFUSION, 512, 768);
    assertThat(ParametersText.write(request, 42, PROVENANCE))
        .isEqualTo(
            """
            A prompt.
            Two lines.
            Negative prompt: blurry
            Steps: 25, Sampler: UniPC, CFG scale: 7.5, Seed: 42, Size: 512x768, \
            Model hash: 0123456789, Model: stable-diffusion-v1-5, RNG: CPU, \
            Loras: "align.pt:1.0, reward, old.pt:0.5", Version: longalign-java 1""");
    assertThat(ParametersText.write(request.toBuilder().karrasSigmas(true).build(), -1, PROVENANCE))
        .contains("Schedule type: Karras", "Seed: 18446744073709551615");
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
    assertThat(PictureSettings.read(png).notHonoured()).isEmpty();
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
    assertThat(request.scheduler()).contains(Scheduler.EULER_ANCESTRAL);
    assertThat(request.steps()).hasValue(20);
    assertThat(request.guidanceScale()).contains(7f);
    assertThat(request.seeds()).containsExactly(1234567890123L);
    assertThat(request.width()).hasValue(640);
    assertThat(ParametersText.read(text.replace("\n", "\r\n"), "cat.png").request())
        .isEqualTo(request);
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
    assertThatThrownBy(() -> PictureSettings.read(write(Map.of("prompt", "{}", "workflow", "{}"))))
        .hasMessageContaining("ComfyUI");
    assertThatThrownBy(() -> PictureSettings.read(write(Map.of("longalign", "{\"format\":1}"))))
        .isInstanceOf(LongAlignException.class);
    assertThatThrownBy(() -> PictureSettings.read(write(Map.of("longalign", "{\"format\":3}"))))
        .hasMessageContaining("found 3");
    assertThatThrownBy(() -> PictureSettings.read(write(Map.of("longalign", "[nonsense"))))
        .isInstanceOf(LongAlignException.class);
  }

  /** What an option says is not read, so it need not be usable. */
  @Test
  void whatIsSaidComesBeforeWhatTheFileHas() {
    String text = "p\nSteps: many, Sampler: Heun, Seed: none, Size: 500x500, CFG scale: x";
    SampleRequestBuilder said =
        SampleRequest.builder()
            .steps(3)
            .scheduler(Scheduler.DDIM)
            .seed(42)
            .size(64, 64)
            .guidanceScale(2);
    PictureSettings settings = ParametersText.read(text, "x.png", said);
    assertThat(settings.request())
        .isEqualTo(
            SampleRequest.of("p").toBuilder()
                .steps(3)
                .scheduler(Scheduler.DDIM)
                .size(64, 64)
                .guidanceScale(2)
                .build());
    Path png = write(PictureSettings.chunks(full("own"), 9, PROVENANCE));
    assertThatThrownBy(() -> PictureSettings.read(png, SampleRequest.builder().steps(-1)))
        .isInstanceOf(IllegalArgumentException.class);
    SampleRequest three = PictureSettings.read(png, SampleRequest.builder().images(3)).request();
    assertThat(three.seeds()).containsExactly(9L, 10L, 11L);
  }

  @Test
  void aPictureMadeFromAnotherSaysSo() {
    BufferedImage image = new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB);
    SampleRequest request = full("p").toBuilder().initImage(image).strength(0.6f).build();
    Path png = write(PictureSettings.chunks(request, 3, PROVENANCE));
    PictureSettings settings = PictureSettings.read(png);
    assertThat(settings.fromInitImage()).isTrue();
    assertThat(settings.request().strength()).isEqualTo(0.6f);
    assertThatThrownBy(() -> SampleRequest.fromPng(png)).hasMessageContaining("initImage");
    assertThat(settings.differences(request, PROVENANCE)).isEmpty();
    BufferedImage other = new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB);
    other.setRGB(7, 7, 1);
    assertThat(settings.differences(request.toBuilder().initImage(other).build(), PROVENANCE))
        .singleElement()
        .asString()
        .contains("init image");
    assertThat(settings.differences(full("p"), PROVENANCE)).hasSize(1);
  }

  /** `printf 'P6\n2 1\n255\n\x01\x02\x03\xff\x00\x10' | sha256sum`. */
  @Test
  void aPicturesHashIsThatOfItsPpm() {
    BufferedImage image = new BufferedImage(2, 1, BufferedImage.TYPE_INT_ARGB);
    image.setRGB(0, 0, 0xff010203);
    image.setRGB(1, 0, 0xffff0010);
    assertThat(PictureSettings.hash(image))
        .isEqualTo("517fcbbb68e0d87945988e65040178ee8c6e786848bda76ecb6882f031f71879");
  }

  @Test
  void everythingThatDiffersIsNamed() {
    Provenance here =
        new Provenance(
            part("other", HASH.replace('0', '1')),
            Optional.empty(),
            Optional.of(part("t5-large", null)),
            List.of(lora("renamed.pt", HASH, 0.5f), lora("new.pt", null, 1)),
            Optional.of(TextEncoding.SEGMENTS),
            false,
            "cpu",
            Optional.of("cpu (oneDNN 3.11.0, 8 threads)"),
            "f32",
            "longalign-java 2");
    List<String> found = PROVENANCE.differences(here);
    assertThat(found)
        .anyMatch(line -> line.startsWith("model: stable-diffusion-v1-5 (SHA-256 0123456789...)"))
        .anyMatch(line -> line.startsWith("text adapter: adapter") && line.contains("here none"))
        .anyMatch(line -> line.startsWith("T5: ") && line.contains("no hash was noted"))
        .anyMatch(line -> line.equals("scale of LoRA align.pt: 1.0 made the picture, here 0.5"))
        .anyMatch(
            line -> line.startsWith("LoRA: reward, old.pt (SHA-256 ffffffffff...), scale 0.5 made"))
        .anyMatch(line -> line.startsWith("LoRA: new.pt, scale 1.0 is merged here"))
        .anyMatch(line -> line.equals("encoding: longalign made the picture, here segments"))
        .anyMatch(line -> line.contains("bf16 made the picture, here f32"))
        .anyMatch(line -> line.contains("2 threads") && line.contains("8 threads"))
        .anyMatch(line -> line.startsWith("software: longalign-java 1"))
        .anyMatch(line -> line.equals("autoencoder: in tiles made the picture, here whole"))
        .hasSize(11);
  }

  /** What the first version wrote: names without hashes, no encoding. */
  @Test
  void earlierFormatsAreRead() {
    String text =
        """
        {"format":1,"prompt":"p","negativePrompt":"","scheduler":"UNIPC","steps":25,
         "guidanceScale":3.0,"seed":-1,"width":96,"height":96,"initImage":true,"strength":0.5,
         "eta":0.0,"generator":"TORCH_CPU","splitter":"REFERENCE","strict":false,
         "provenance":{"model":"longsd-mini","adapter":"adapter","loras":["a:b.pt:0.5"],
          "device":"cpu","precision":"f32","software":"longalign-java 0"}}""";
    PictureSettings settings = PictureSettings.read(write(Map.of("longalign", text)));
    assertThat(settings.request().seeds()).containsExactly(-1L);
    assertThat(settings.fromInitImage()).isTrue();
    Provenance was = settings.provenance().orElseThrow();
    assertThat(was.encoding()).contains(TextEncoding.LONGALIGN);
    assertThat(was.loras()).containsExactly(lora("a:b.pt", null, 0.5f));
    assertThat(was.differences(was)).isNotEmpty().allMatch(line -> line.contains("no hash"));
  }

  /** Mutated settings are read or refused in one sentence, whatever they became. */
  @Test
  void damagedSettingsAreRefusedInOneSentence() {
    Random random = new Random(17);
    String own = PictureSettings.chunks(full("a <prompt>"), 3, PROVENANCE).get("longalign");
    String web = ParametersText.write(full("(a:1.2) <lora:x:1>"), 3, PROVENANCE);
    String[] pieces = {
      "{}",
      "[]",
      "null",
      "\"",
      "-1",
      "1e999999999",
      "9".repeat(400),
      "true",
      ":",
      ",",
      "[[",
      "\u001b[2J",
      "\ud800",
      "Karras",
      "x",
      "18446744073709551615",
      "0.5",
      "NaN",
      "\n",
      "\"name\":",
      " "
    };
    int refused = 0;
    for (int round = 0; round < 3000; round++) {
      boolean json = round % 2 == 0;
      StringBuilder text = new StringBuilder(json ? own : web);
      for (int i = random.nextInt(4); i >= 0; i--) {
        int at = random.nextInt(text.length());
        int end = Math.min(text.length(), at + random.nextInt(12));
        text.replace(at, end, pieces[random.nextInt(pieces.length)]);
      }
      try {
        PictureSettings settings =
            json
                ? SettingsJson.read(text.toString(), "x.png", SampleRequest.builder())
                : ParametersText.read(text.toString(), "x.png");
        settings.differences(settings.request(), PROVENANCE);
      } catch (LongAlignException sentence) {
        refused++;
        assertThat(sentence.getMessage()).startsWith("x.png").hasSizeLessThan(800);
        assertThat(sentence.getMessage().chars().noneMatch(Character::isISOControl)).isTrue();
      }
    }
    assertThat(refused).isGreaterThan(500);
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
