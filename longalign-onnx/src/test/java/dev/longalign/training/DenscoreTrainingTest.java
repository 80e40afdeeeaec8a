package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.EmbeddedModel;
import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.data.TrainingExample;
import dev.longalign.data.panels.PanelsDataset;
import dev.longalign.preference.CaptionFeatures;
import dev.longalign.preference.Features;
import dev.longalign.preference.PictureBatch;
import dev.longalign.preference.PictureScorer;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import dev.longalign.tensor.cpu.CpuBackend;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Runs of Denscore's training on a model smaller than the one in the jar. */
class DenscoreTrainingTest {
  private static final String SMALL =
      "textWidth: 32\ntextLayers: 1\ntextHeads: 2\nvisionWidth: 32\nvisionLayers: 1\n"
          + "visionHeads: 2\nprojection: 24\n";

  @TempDir private Path folder;

  private DenscoreRunConfig config(String output, int steps, String more) {
    return DenscoreRunConfig.parse(
        "output: " + output + "\nsteps: " + steps + "\nbatchSize: 8\nwarmupSteps: 0\n" + more,
        folder);
  }

  private static DenscoreRun open(DenscoreRunConfig config) {
    Path denscore = EmbeddedModel.directory().resolve("denscore");
    return new DenscoreRun(config, denscore, new CpuBackend(1), 1);
  }

  /** Trains to the end and exports; returns the losses. */
  private static List<Double> run(DenscoreRunConfig config) {
    List<Double> losses = new ArrayList<>();
    try (DenscoreRun run = open(config)) {
      run.trainer()
          .listen(
              new TrainingListener() {
                @Override
                public void onStep(StepReport step) {
                  losses.add(step.loss());
                }
              });
      run.trainer().resume();
      run.trainer().trainTo(config.steps());
      run.model().export(config.output().resolve("export"));
    }
    return losses;
  }

  private byte[] weights(String output) throws IOException {
    return Files.readAllBytes(folder.resolve(output + "/export/model.safetensors"));
  }

  /** The same pictures and captions through ONNX Runtime and through the towers in training. */
  private static void towersEqualOnnx(DenscoreRun run, PreferenceModel onnx) {
    PanelsDataset data = PanelsDataset.endless(PanelsDataset.Captions.MIXED, 5);
    List<TrainingExample> examples = List.of(data.example(0), data.example(1), data.example(2));
    AutogradBackend autograd = run.model().autograd();
    try (TensorScope scope = TensorScope.open()) {
      List<int[]> ids = new ArrayList<>();
      List<Features> expected = new ArrayList<>();
      PictureScorer scorer = PictureScorer.denscore(onnx);
      for (CaptionFeatures caption : scorer.captions(TrainingExample.captions(examples))) {
        ids.addAll(onnx.tokenizer().encodeAll(caption.segments()));
        expected.add(caption.features());
      }
      List<float[]> rows = new ArrayList<>();
      expected.forEach(
          features -> {
            for (int i = 0; i < features.count(); i++) {
              rows.add(features.row(i));
            }
          });
      Features texts = Features.of(rows);
      Tolerance close = Tolerance.relative(1e-4);
      close.check(
          "texts",
          Shape.of(texts.count(), texts.width()),
          texts.values(),
          run.model().clip().textFeatures(ids).normalizeRows());

      float[] values = TrainingExample.pictures(autograd, examples).toFloats();
      for (int i = 0; i < values.length; i++) {
        values[i] = values[i] * 0.5f + 0.5f;
      }
      PictureBatch pictures = new PictureBatch(values, 3, 96, 96);
      Features images = onnx.imageFeatures(onnx.preprocessing().prepare(pictures));
      close.check(
          "pictures",
          Shape.of(images.count(), images.width()),
          images.values(),
          run.model()
              .clip()
              .imageFeatures(
                  DenscoreObjective.pixels(autograd, onnx.preprocessing().prepare(pictures))));
    }
  }

  @Test
  void theModelOfTheJarIsTheSameHere() {
    Path denscore = EmbeddedModel.directory().resolve("denscore");
    try (DenscoreRun run = open(config("jar", 1, "init: " + denscore));
        PreferenceModel onnx = PreferenceModel.open(denscore, 1)) {
      towersEqualOnnx(run, onnx);
    }
  }

  @Test
  void anExportIsReadAsItWasTrained() throws IOException {
    DenscoreRunConfig config = config("run", 2, SMALL + "patchSize: 32");
    run(config);
    Path export = config.output().resolve("export");
    try (PreferenceModel onnx = PreferenceModel.open(export, 1);
        DenscoreRun again = open(config("again", 1, "init: " + export))) {
      assertThat(onnx.width()).isEqualTo(24);
      towersEqualOnnx(again, onnx);
      again.model().export(folder.resolve("again/export"));
    }
    assertThat(weights("again")).isEqualTo(weights("run"));
    assertThat(Files.readString(export.resolve("preprocessor_config.json"))).contains("96");
  }

  @Test
  void aResumedRunEndsWithTheSameBits() throws IOException {
    String more = SMALL + "omega: 0.3\nsaveEvery: 2\naccumulation: 2";
    List<Double> whole = run(config("whole", 4, more));
    List<Double> parts = new ArrayList<>(run(config("parts", 2, more)));
    parts.addAll(run(config("parts", 4, more)));
    assertThat(parts).isEqualTo(whole);
    assertThat(weights("parts")).isEqualTo(weights("whole"));
  }

  @Test
  void theLossGoesDown() {
    List<Double> losses =
        run(config("run", 12, SMALL + "data: 'panels:short:8'\nlearningRate: 3e-3"));
    assertThat(losses.get(losses.size() - 1)).isLessThan(0.9 * losses.get(0));
    assertThat(losses.stream().mapToDouble(Double::doubleValue).min().orElseThrow())
        .isLessThan(losses.get(0));
  }

  @Test
  void aCheckpointOfAnotherSizeIsRefused() {
    run(config("run", 1, SMALL));
    try (DenscoreRun other =
        open(config("run", 2, SMALL.replace("textWidth: 32", "textWidth: 64")))) {
      assertThatThrownBy(() -> other.trainer().resume())
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("textWidth was 32, is 64");
      assertThatThrownBy(() -> other.trainer().resume(true))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("another model")
          .hasMessageContaining("[716, 64]")
          .hasMessageContaining("[716, 32]");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "'omga: 1', omga, omega",
    "'omega: 2', omega, '[0, 1]'",
    "'omega: -0.1', omega, '[0, 1]'",
    "'segmentWeight: -1', segmentWeight, at least 0",
    "'textWidth: 0', textWidth, a positive number",
    "'init: somewhere\ntextWidth: 64', textWidth, init says which model it is",
    "'init: somewhere\ntokenizer: there', tokenizer, init has its own",
    "'evaluation: 65', evaluation, a multiple of 64",
    "'data: nowhere', nowhere, does not exist",
  })
  void badKeys(String line, String key, String expected) {
    assertThatThrownBy(() -> config("run", 1, line))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(key)
        .hasMessageContaining(expected);
  }

  @Test
  void badSizes() {
    assertThatThrownBy(() -> config("run", 0, "")).hasMessageContaining("steps");
    assertThatThrownBy(() -> DenscoreRunConfig.parse("output: o\nsteps: 1\nbatchSize: 1", folder))
        .hasMessageContaining("batchSize");
    assertThatThrownBy(() -> open(config("run", 1, "textWidth: 30\ntextHeads: 4")))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("num_attention_heads")
        .hasMessageContaining("30");
    assertThatThrownBy(() -> open(config("run", 1, "init: nowhere")))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("nowhere");
  }

  @Test
  void theJarsModelTellsTrueSentencesFromChangedOnes() {
    try (PreferenceModel model =
        PreferenceModel.open(EmbeddedModel.directory().resolve("denscore"), 1)) {
      DenscoreEvaluation found = DenscoreEvaluation.of(model, DenscoreEvaluation.CHOICES);
      assertThat(found.pictures()).isEqualTo(64);
      assertThat(found.retrieval()).isGreaterThan(0.95);
      assertThat(found.sentences()).isGreaterThan(400);
      assertThat(found.segments()).isBetween(0.9, 0.999);
      assertThat(found.byAttribute())
          .containsOnlyKeys("background", "color", "position", "shape", "size");
    }
  }
}
