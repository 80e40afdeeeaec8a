package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.LongAlignException;
import dev.longalign.data.FeatureExample;
import dev.longalign.io.Config;
import dev.longalign.io.PictureFile;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.AutoencoderKLConfig;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.tensor.DType;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Pictures on the way, which leave no trace in training. */
class PictureValidationTest {
  private static final TrainerSettings SETTINGS =
      TinyRun.SETTINGS.withAccumulation(1).withCheckpoints(100, 1).withEma(0.3);

  @TempDir private Path folder;

  private static AutoencoderKL vae(TinyTraining tiny) {
    return AutoencoderKL.load(
        AutoencoderKLConfig.of(Config.read(TinyTraining.folder().resolve("vae/config.json"))),
        TinyTraining.weights("vae"),
        tiny.autograd,
        DType.F32);
  }

  private static PictureValidation validation(TinyTraining tiny, AutoencoderKL vae, Path run) {
    FeatureEncoder features = new FeatureEncoder(tiny.autograd, TinyRun.features(99, false));
    return new PictureValidation(
        tiny.unet,
        tiny.adapter::forward,
        vae,
        SchedulerConfig.read(
            TinyTraining.folder().resolve("scheduler/scheduler_config.json"), Scheduler.UNIPC),
        captions ->
            features.texts(
                captions.stream().map(text -> TinyRun.features(text.length(), false)).toList()),
        new PictureValidation.Settings(
            List.of(
                new PictureValidation.Prompt("a circle", 3),
                new PictureValidation.Prompt("a large square", 3)),
            Scheduler.UNIPC,
            3,
            3,
            4,
            4),
        run);
  }

  private static int[] pixels(BufferedImage image) {
    return image.getRGB(0, 0, image.getWidth(), image.getHeight(), null, 0, image.getWidth());
  }

  @Test
  void trainingIsTheSameWithAndWithoutLooking() throws IOException {
    Path with = folder.resolve("with");
    Path without = folder.resolve("without");
    List<ValidationReport> reports = new ArrayList<>();
    try (TinyTraining tiny = TinyRun.tiny();
        AutoencoderKL vae = vae(tiny);
        Trainer<FeatureExample> trainer =
            new TinyRun(SETTINGS.withValidation(2)).trainer(tiny, with)) {
      PictureValidation pictures = validation(tiny, vae, with);
      trainer.validate(pictures);
      trainer.validate(
          step -> {
            throw new LongAlignException("a look that fails stops nothing");
          });
      trainer.listen(new TensorBoardEvents(with));
      trainer.listen(
          new TrainingListener() {
            @Override
            public void onValidated(ValidationReport report) {
              reports.add(report);
            }
          });
      trainer.trainTo(4);
    }
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun(SETTINGS).trainer(tiny, without)) {
      trainer.trainTo(4);
    }
    for (String file : new String[] {"state.safetensors", "state.json"}) {
      assertThat(Files.readAllBytes(with.resolve("step-00000004/" + file)))
          .as(file)
          .isEqualTo(Files.readAllBytes(without.resolve("step-00000004/" + file)));
    }
    assertThat(reports).extracting(ValidationReport::step).containsExactly(2L, 4L);
    ValidationReport.Picture first = reports.get(0).pictures().get(0);
    assertThat(first.file()).isEqualTo(with.resolve("validation/step-00000002/00.png"));
    assertThat(PictureFile.texts(first.file())).isEqualTo(Map.of("prompt", "a circle"));
    assertThat(pixels(PictureFile.readRgb(first.file()))).isEqualTo(pixels(first.image()));
    assertThat(with.resolve("validation/step-00000004/01.png")).exists();
    assertThat(pixels(reports.get(0).pictures().get(1).image()))
        .as("another prompt")
        .isNotEqualTo(pixels(first.image()));
    assertThat(pixels(reports.get(1).pictures().get(0).image()))
        .as("two steps later")
        .isNotEqualTo(pixels(first.image()));
    try (var files = Files.list(with)) {
      Path events =
          files
              .filter(file -> file.getFileName().toString().startsWith("events.out"))
              .findFirst()
              .orElseThrow();
      assertThat(EventReader.read(events))
          .anySatisfy(
              event ->
                  assertThat(event.images()).containsOnlyKeys("validation/00", "validation/01"));
    }
  }

  @Test
  void picturesAreOfTheAveragesWithoutDropout() {
    try (TinyTraining tiny = TinyRun.tiny();
        AutoencoderKL vae = vae(tiny);
        Trainer<FeatureExample> trainer = new TinyRun(SETTINGS).trainer(tiny, folder)) {
      PictureValidation pictures = validation(tiny, vae, folder);
      trainer.trainTo(3);
      List<BufferedImage> looks = new ArrayList<>();
      TrainingListener listener =
          new TrainingListener() {
            @Override
            public void onValidated(ValidationReport report) {
              looks.add(report.pictures().get(0).image());
            }
          };
      trainer.listen(listener);
      trainer.validate(pictures);
      assertThat(pictures.isMade(3)).isFalse();
      trainer.look();
      assertThat(pictures.isMade(3)).isTrue();
      trainer.look();
      assertThat(pixels(looks.get(1))).isEqualTo(pixels(looks.get(0)));
      int[] own;
      try (var scope = dev.longalign.tensor.TensorScope.open();
          var off = tiny.model.dropout().off()) {
        own = pixels(pictures.validate(3).pictures().get(0).image());
        int[] averaged =
            trainer.withAverages(() -> pixels(pictures.validate(3).pictures().get(0).image()));
        assertThat(averaged).isEqualTo(pixels(looks.get(0)));
      }
      assertThat(own).as("of the parameters themselves").isNotEqualTo(pixels(looks.get(0)));
    }
  }
}
