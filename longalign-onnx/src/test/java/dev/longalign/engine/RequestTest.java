package dev.longalign.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.Generator;
import dev.longalign.LongAlign;
import dev.longalign.LongAlignException;
import dev.longalign.PictureSettings;
import dev.longalign.ProgressListener;
import dev.longalign.SampleCall;
import dev.longalign.SampleRequest;
import dev.longalign.SampleResult;
import dev.longalign.Splitter;
import dev.longalign.data.panels.PanelObject;
import dev.longalign.data.panels.PanelsReader;
import dev.longalign.io.PictureFile;
import dev.longalign.pipeline.VaeTiling;
import dev.longalign.scheduler.Scheduler;
import java.awt.image.BufferedImage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** What every setting of a request does to the picture. */
final class RequestTest {
  /** A large red circle in the center. */
  private static final PanelObject RED_CIRCLE = PanelObject.of("large", "red", "circle");

  private static LongAlign longAlign;

  @TempDir Path temp;

  @BeforeAll
  static void open() {
    longAlign = LongAlign.builder().build();
  }

  @AfterAll
  static void close() {
    longAlign.close();
  }

  @Test
  void aPictureDependsOnItsSeedAlone() {
    SampleRequest five = Engines.quick(1, 4).seed(7).images(5).build();
    SampleResult oneByOne = longAlign.sample(five.toBuilder().batchSize(1).build());
    assertThat(oneByOne.seeds()).containsExactly(7L, 8L, 9L, 10L, 11L);
    for (int batchSize : new int[] {2, 5}) {
      SampleResult batched = longAlign.sample(five.toBuilder().batchSize(batchSize).build());
      for (int i = 0; i < 5; i++) {
        assertThat(Images.largestDifference(batched.images().get(i), oneByOne.images().get(i)))
            .isLessThanOrEqualTo(1);
      }
    }
    SampleResult shuffled = longAlign.sample(five.toBuilder().seeds(List.of(11L, 7L)).build());
    assertThat(Images.largestDifference(shuffled.image(), oneByOne.images().get(4)))
        .isLessThanOrEqualTo(1);
    assertThat(Images.meanDifference(oneByOne.images().get(0), oneByOne.images().get(1)))
        .isGreaterThan(1);
  }

  /** Each when it is done, with its seed and its share of the time; cancelling keeps them. */
  @Test
  void picturesComeOneByOne() {
    SampleRequest three = Engines.quick(1, 2).seed(7).images(3).batchSize(2).build();
    SampleResult together = longAlign.sample(three);
    List<SampleResult> pictures = new ArrayList<>();
    SampleResult whole = longAlign.newCall(three).execute(pictures::add);
    assertThat(whole.images()).isEmpty();
    assertThat(whole.timings().steps()).isEqualTo(4);
    assertThat(pictures).extracting(one -> one.seeds().get(0)).containsExactly(7L, 8L, 9L);
    Duration sum = Duration.ZERO;
    for (int i = 0; i < 3; i++) {
      SampleResult one = pictures.get(i);
      sum = sum.plus(one.timings().total());
      one.save(temp.resolve("one.png"));
      together.save(i, temp.resolve("together.png"));
      assertThat(temp.resolve("one.png")).hasSameBinaryContentAs(temp.resolve("together.png"));
    }
    assertThat(sum).isCloseTo(whole.timings().total(), Duration.ofNanos(10));
    assertThat(pictures.get(0).timings().encode()).isPositive();
    assertThat(pictures.get(1).timings().encode()).isZero();

    AtomicReference<SampleCall> call = new AtomicReference<>();
    pictures.clear();
    call.set(longAlign.newCall(three));
    assertThatThrownBy(
            () ->
                call.get()
                    .execute(
                        picture -> {
                          pictures.add(picture);
                          call.get().cancel();
                        }))
        .isInstanceOf(CancellationException.class);
    assertThat(pictures).as("what all steps are made for").hasSize(2);
  }

  @ParameterizedTest
  @CsvSource({"96, 96", "64, 128", "8, 8", "8, 200", "104, 88", "256, 224"})
  void anyMultipleOfEight(int width, int height) {
    BufferedImage image = longAlign.sample(Engines.quick(0, 2).size(width, height).build()).image();
    assertThat(image.getWidth()).isEqualTo(width);
    assertThat(image.getHeight()).isEqualTo(height);
    assertThat(Arrays.stream(Images.rgb(image)).distinct().count()).isGreaterThan(8);
    BufferedImage again = longAlign.sample(Engines.quick(0, 2).size(width, height).build()).image();
    assertThat(Images.same(image, again)).isTrue();
  }

  @Test
  void tilesAreTold() {
    SampleRequest large = Engines.quick(0, 1).size(200, 104).images(2).build();
    assertThat(longAlign.sample(large).tiled()).isFalse();
    List<String> told = new ArrayList<>();
    ProgressListener listener =
        new ProgressListener() {
          @Override
          public void onTiles(String message) {
            told.add(message);
          }
        };
    try (LongAlign tiles = LongAlign.builder().vaeTiling(VaeTiling.ALWAYS).build()) {
      assertThat(tiles.newCall(large, listener).execute().tiled()).isTrue();
      assertThat(tiles.sample(Engines.quick(0, 1).build()).tiled()).isFalse();
    }
    assertThat(told).singleElement().asString().contains("200 x 104", "tiles", "as asked for");
  }

  /** A whole picture, so that a scheduler that goes wrong shows; LCM wants a distilled network. */
  @ParameterizedTest
  @EnumSource(Scheduler.class)
  void everySchedulerDraws(Scheduler scheduler) {
    SampleRequest request =
        SampleRequest.of(Engines.PROMPTS.get(0)).toBuilder()
            .scheduler(scheduler)
            .eta(scheduler == Scheduler.DDIM ? 0.5f : 0)
            .build();
    SampleResult result = longAlign.sample(request);
    assertThat(Images.same(longAlign.sample(request).image(), result.image())).isTrue();
    assertThat(result.timings().steps()).isEqualTo(scheduler == Scheduler.LCM ? 4 : 25);
    if (scheduler == Scheduler.LCM) {
      assertThat(result.request().guidanceScale()).contains(0f);
    } else {
      assertThat(PanelsReader.read(result.image()).cells().get(4)).contains(RED_CIRCLE);
    }
  }

  @Test
  void guidanceUpToOneNeedsNoUnconditionalPass() {
    // A negative prompt that would be refused tells whether it is looked at.
    SampleRequest guided =
        Engines.quick(0, 3).negativePrompt("blue ".repeat(300)).strict(true).build();
    SampleResult zero = longAlign.sample(guided.toBuilder().guidanceScale(0).build());
    SampleResult one = longAlign.sample(guided.toBuilder().guidanceScale(1).build());
    assertThat(Images.same(zero.image(), one.image())).isTrue();
    assertThatThrownBy(() -> longAlign.sample(guided))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("blue");
    SampleResult three = longAlign.sample(guided.toBuilder().strict(false).build());
    assertThat(Images.meanDifference(three.image(), one.image())).isGreaterThan(0.5);
  }

  @Test
  void negativePromptsMoveThePictureAway() {
    SampleRequest request =
        SampleRequest.of("The background is white.").toBuilder().steps(12).build();
    BufferedImage plain = longAlign.sample(request).image();
    BufferedImage negative =
        longAlign
            .sample(request.toBuilder().negativePrompt("The background is pale blue.").build())
            .image();
    assertThat(Images.meanDifference(plain, negative)).isGreaterThan(0.2);
    SampleResult empty = longAlign.sample(request.toBuilder().negativePrompt("").build());
    assertThat(Images.same(empty.image(), plain)).isTrue();
  }

  @Test
  void strengthSaysHowMuchOfAPictureIsReplaced() {
    BufferedImage drawn =
        longAlign
            .sample(SampleRequest.of(Engines.PROMPTS.get(1)).toBuilder().steps(15).build())
            .image();
    SampleRequest request =
        Engines.quick(0, 20).initImage(drawn).images(2).scheduler(Scheduler.DDIM).build();
    double last = 0;
    for (float strength : new float[] {0.1f, 0.5f, 0.9f}) {
      SampleResult result = longAlign.sample(request.toBuilder().strength(strength).build());
      double changed = Images.meanDifference(drawn, result.image());
      assertThat(changed).isGreaterThan(last);
      assertThat(Images.same(result.images().get(0), result.images().get(1))).isFalse();
      assertThat(result.timings().steps()).isEqualTo(Math.round(strength * 20));
      last = changed;
    }
    for (Scheduler scheduler : Scheduler.values()) {
      SampleRequest other =
          request.toBuilder()
              .scheduler(scheduler)
              .steps(scheduler == Scheduler.LCM ? 4 : 20)
              .strength(0.3f)
              .images(1)
              .build();
      BufferedImage image = longAlign.sample(other).image();
      assertThat(Images.meanDifference(drawn, image)).as("%s", scheduler).isGreaterThan(0.01);
    }
    BufferedImage wide =
        longAlign.sample(request.toBuilder().size(128, 64).strength(0.1f).build()).image();
    assertThat(wide.getWidth()).isEqualTo(128);
    assertThatThrownBy(() -> longAlign.sample(request.toBuilder().steps(3).strength(0.1f).build()))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("strength")
        .hasMessageContaining("raise");
  }

  /** Before anything is encoded, by the call itself. */
  @Test
  void stepsThatTheModelDoesNotHaveAreRefusedAtOnce() {
    SampleRequest unipc = Engines.quick(0, 1000).build();
    assertThatThrownBy(() -> longAlign.newCall(unipc))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("one noise level")
        .hasMessageContaining("use fewer steps");
    BufferedImage any = new BufferedImage(96, 96, BufferedImage.TYPE_INT_RGB);
    for (Scheduler scheduler : List.of(Scheduler.DDIM, Scheduler.DDPM, Scheduler.UNIPC)) {
      SampleRequest some =
          unipc.toBuilder().scheduler(scheduler).initImage(any).strength(0.002f).build();
      assertThat(longAlign.sample(some).timings().steps()).isEqualTo(2);
    }
  }

  @Test
  void torchsCudaNoiseIsAnother() {
    SampleRequest cpu = Engines.quick(0, 3).build();
    SampleRequest cuda = cpu.toBuilder().generator(Generator.TORCH_CUDA).build();
    BufferedImage first = longAlign.sample(cuda).image();
    assertThat(Images.same(longAlign.sample(cuda).image(), first)).isTrue();
    assertThat(Images.meanDifference(longAlign.sample(cpu).image(), first)).isGreaterThan(1);
  }

  /** Also where noise is drawn in every step, and where the web UIs' chunk cannot say it all. */
  @Test
  void aPngRepeatsItsPictureByteForByte() throws Exception {
    SampleRequest request =
        Engines.quick(2, 4)
            .prompt(Engines.PROMPTS.get(2) + "\u0000 \u201Cquoted\u201D \uD83D\uDE80\n\uD800")
            .negativePrompt("Everything is set against a plain white background.")
            .scheduler(Scheduler.EULER_ANCESTRAL)
            .guidanceScale(2.7f)
            .seed(-5)
            .images(2)
            .size(104, 64)
            .generator(Generator.TORCH_CUDA)
            .splitter(Splitter.SENTENCES)
            .build();
    List<Path> files = longAlign.sample(request).saveAll(temp.resolve("made/of two"));
    assertThat(files)
        .extracting(f -> f.getFileName().toString())
        .containsExactly("00.png", "01.png");
    for (Path file : files) {
      Path again = temp.resolve("again.png");
      longAlign.sample(SampleRequest.fromPng(file)).save(again);
      assertThat(Files.readAllBytes(again)).isEqualTo(Files.readAllBytes(file));
    }
    PictureSettings settings = PictureSettings.read(files.get(1));
    assertThat(settings.request().seeds()).containsExactly(-4L);
    assertThat(settings.provenance()).contains(longAlign.provenance());
    assertThat(PictureFile.texts(files.get(0)).get("parameters")).contains("Sampler: Euler a");
  }

  @Test
  void picturesMadeFromPicturesSayWhatIsMissing() {
    BufferedImage drawn = longAlign.sample(Engines.quick(0, 2).build()).image();
    SampleRequest request = Engines.quick(1, 4).initImage(drawn).strength(0.5f).build();
    SampleResult result = longAlign.sample(request);
    Path file = temp.resolve("img2img.png");
    result.save(file);
    assertThatThrownBy(() -> SampleRequest.fromPng(file))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("made from another picture");
    SampleRequest repeated =
        PictureSettings.read(file).request().toBuilder().initImage(drawn).build();
    assertThat(Images.same(longAlign.sample(repeated).image(), result.image())).isTrue();
  }
}
