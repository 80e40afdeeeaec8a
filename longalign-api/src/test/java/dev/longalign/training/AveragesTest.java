package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.LongAlignException;
import dev.longalign.data.FeatureExample;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The exponential moving average of the parameters. */
class AveragesTest {
  private static final double DECAY = 0.3;
  private static final TinyRun RUN =
      new TinyRun(TinyRun.SETTINGS.withAccumulation(1).withEma(DECAY));

  @TempDir private Path folder;

  private static Map<String, float[]> averages(TinyTraining tiny, Trainer<FeatureExample> trainer) {
    return trainer.withAverages(() -> TinyRun.values(tiny));
  }

  private static void assertSame(Map<String, float[]> found, Map<String, float[]> expected) {
    assertThat(found.keySet()).isEqualTo(expected.keySet());
    expected.forEach((name, x) -> assertThat(found.get(name)).as(name).isEqualTo(x));
  }

  @Test
  void followsTheFormulaAndLeavesTheParametersAlone() {
    Map<String, double[]> expected = new HashMap<>();
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = RUN.trainer(tiny, folder.resolve("with"))) {
      TinyRun.values(tiny).forEach((name, x) -> expected.put(name, doubles(x)));
      trainer.listen(
          new TrainingListener() {
            @Override
            public void onStep(StepReport report) {
              double n = report.step();
              double decay = Math.min(DECAY, (1 + n) / (10 + n));
              TinyRun.values(tiny)
                  .forEach(
                      (name, x) -> {
                        double[] mean = expected.get(name);
                        for (int i = 0; i < x.length; i++) {
                          mean[i] = decay * mean[i] + (1 - decay) * x[i];
                        }
                      });
            }
          });
      trainer.trainTo(5);
      Map<String, float[]> values = TinyRun.values(tiny);
      Map<String, float[]> found = averages(tiny, trainer);
      assertSame(TinyRun.values(tiny), values);
      double apart = 0;
      for (Map.Entry<String, double[]> entry : expected.entrySet()) {
        float[] mean = found.get(entry.getKey());
        for (int i = 0; i < mean.length; i++) {
          double wanted = entry.getValue()[i];
          assertThat((double) mean[i])
              .as(entry.getKey())
              .isCloseTo(wanted, within(1e-6 * Math.abs(wanted) + 1e-9));
          apart = Math.max(apart, Math.abs(mean[i] - values.get(entry.getKey())[i]));
        }
      }
      assertThat(apart).as("averages and values").isGreaterThan(1e-4);
      try (TinyTraining other = TinyRun.tiny();
          Trainer<FeatureExample> without =
              new TinyRun(RUN.settings().withEma(0)).trainer(other, folder.resolve("without"))) {
        without.trainTo(5);
        assertSame(TinyRun.values(other), values);
        assertSame(averages(other, without), values);
      }
    }
  }

  private static double[] doubles(float[] values) {
    double[] wide = new double[values.length];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = values[i];
    }
    return wide;
  }

  @Test
  void areResumedBitForBit() {
    List<Map<String, float[]>> ends = new ArrayList<>();
    for (int[] lasts : new int[][] {{4}, {1, 4}}) {
      for (int last : lasts) {
        Path run = folder.resolve("run" + lasts.length);
        try (TinyTraining tiny = TinyRun.tiny();
            Trainer<FeatureExample> trainer = RUN.trainer(tiny, run)) {
          trainer.resume();
          trainer.trainTo(last);
          if (last == 4) {
            ends.add(averages(tiny, trainer));
          }
        }
      }
    }
    assertSame(ends.get(1), ends.get(0));
  }

  @Test
  void beginAndEndBetweenCheckpoints() {
    TinyRun without = new TinyRun(RUN.settings().withEma(0));
    Map<String, float[]> values;
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = without.trainer(tiny, folder)) {
      trainer.trainTo(1);
      values = TinyRun.values(tiny);
    }
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = RUN.trainer(tiny, folder)) {
      assertThat(trainer.resume()).isTrue();
      assertSame(averages(tiny, trainer), values); // they begin with the parameters
      trainer.trainTo(2);
      values = TinyRun.values(tiny);
    }
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = without.trainer(tiny, folder)) {
      assertThat(trainer.resume()).isTrue();
      assertSame(TinyRun.values(tiny), values);
    }
  }

  @Test
  void nothingIsSavedOrTrainedWhileTheModelHasThem() {
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = RUN.trainer(tiny, folder)) {
      List<Runnable> refused =
          List.of(trainer::save, () -> trainer.trainTo(1), () -> trainer.withAverages(() -> {}));
      for (Runnable call : refused) {
        assertThatThrownBy(() -> trainer.withAverages(call))
            .isInstanceOf(LongAlignException.class)
            .hasMessageContaining("the averaged parameters");
      }
    }
  }
}
