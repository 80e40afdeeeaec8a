package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Configs of runs: defaults, and what is refused with which words. */
class RunConfigTest {
  private static final Path BASE = Path.of("/base");

  private static RunConfig parse(Stage stage, String more) {
    return RunConfig.parse("output: run\nsteps: 3000\n" + more, stage, BASE);
  }

  @Test
  void defaultsAreWhatLongAlignTrainsWith() {
    RunConfig align = parse(Stage.ALIGN, "");
    assertThat(align.output()).isEqualTo(BASE.resolve("run"));
    assertThat(align.rank()).isEqualTo(32);
    assertThat(align.dropout()).isEqualTo(0.1f);
    assertThat(align.settings()).isEqualTo(TrainerSettings.DEFAULT);
    assertThat(align.align()).isEqualTo(AlignObjective.Settings.DEFAULT);
    assertThat(align.lcm()).isNull();
    assertThat(align.reward()).isNull();
    assertThat(align.data().kind()).isEqualTo(TrainingData.Kind.PANELS);
    assertThat(parse(Stage.LCM, "").lcm()).isEqualTo(LcmObjective.Settings.DEFAULT);
    RewardSettings reward = parse(Stage.REWARD, "batchSize: 8").reward();
    assertThat(reward.omega()).isEqualTo(0.3);
    assertThat(reward.samplingSteps()).isEqualTo(50);
    assertThat(reward.every()).isEqualTo(10);
    assertThat(reward.guidanceScale()).isEqualTo(7.5f);
    assertThat(parse(Stage.REWARD, "").reward().direction())
        .as("no direction within a batch of one")
        .isEqualTo(RewardSettings.Direction.DATA);
    assertThat(reward.direction()).isEqualTo(RewardSettings.Direction.BATCH);
    RewardSettings few = parse(Stage.REWARD_LCM, "batchSize: 8").reward();
    assertThat(few.samplingSteps()).isEqualTo(4);
    assertThat(few.every()).isEqualTo(1);
    assertThat(few.guidanceScale()).isEqualTo(1);
  }

  @Test
  void outputAndStepsAreEnough() {
    for (Stage stage : Stage.values()) {
      assertThat(RunConfig.parse("output: run\nsteps: 2", stage, BASE).steps()).isEqualTo(2);
    }
    assertThat(DenscoreRunConfig.parse("output: run\nsteps: 2", BASE).steps()).isEqualTo(2);
    assertThatThrownBy(() -> DenscoreRunConfig.parse("output: run\nsteps: 2\nbatch: 3", BASE))
        .hasMessage("run: there is no key 'batch'; did you mean batchSize?");
  }

  @Test
  void readsYaml() {
    RunConfig run =
        parse(
            Stage.ALIGN,
            "# a comment\nprecision: bf16\nlearningRate: 1e-4\nadapter: new\nadapterWidth: 96\n"
                + "data: panels:mixed:100\ncheckpointing: true\nwarmupSteps: 10\n");
    assertThat(run.precision()).isEqualTo(DType.BF16);
    assertThat(run.settings().learningRate().peak()).isEqualTo(1e-4);
    assertThat(run.newAdapter()).isEqualTo(96);
    assertThat(run.data().count()).hasValue(100);
    assertThat(run.checkpointing()).isTrue();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "ALIGN | learnRate: 1 | learnRate | learningRate",
        "ALIGN | omega: 0.3 | omega | it belongs to reward, reward-lcm",
        "REWARD | captionDropout: 0.1 | captionDropout | it belongs to align",
        "REWARD_LCM | guidanceScale: 2 | guidanceScale | it belongs to lcm, reward",
        "ALIGN | adapterWidth: 96 | adapterWidth | it is for adapter: new",
        "ALIGN | adapter: old | adapter | new or given",
        "ALIGN | warmupSteps: 4000 | warmupSteps | would never be reached",
        "ALIGN | 'data: panels\npictures: there' | pictures | Parquet",
        "REWARD | commonDirection: batch | batchSize | commonDirection: data",
        "ALIGN | lerningRate: 1 | lerningRate | did you mean learningRate?",
        "ALIGN | BatchSize: 1 | BatchSize | did you mean batchSize?",
        "ALIGN | rank: 100000 | rank | at most 65536",
        "ALIGN | resolution: 1000000 | resolution | from 0 to 4096",
        "ALIGN | batchSize: 1000000000 | batchSize | at most 65536",
        "ALIGN | weightDecay: .inf | run | finite numbers",
        "LCM | ddimSteps: 1001 | ddimSteps | at most 1000",
        "ALIGN | 'seed: [2,\n  3' | line 4, column 4 | expected ',' or ']'",
        "ALIGN | 'data: \"a\\0b\"' | data | no path",
        "ALIGN | 'output2: 1' | output2 | did you mean output?",
        "REWARD | 'batchSize: 4\nomega: 1.5' | omega | [0, 1]",
        "REWARD | 'batchSize: 4\nevery: 60' | every | [1, 50]",
        "ALIGN | learningRate: -1 | learningRate | a positive number",
        "ALIGN | learningRate: fast | learningRate | a number",
        "ALIGN | precision: f16 | precision | f32 or bf16",
        "ALIGN | rank: 0 | rank | a positive number",
        "ALIGN | 'rank: 4\nrank: 8' | rank | duplicate key",
        "ALIGN | data: nowhere | nowhere | does not exist",
        "ALIGN | 'rank: [4' | run | not valid YAML",
        "ALIGN | rank: !!java.net.URL http://x | run | not valid YAML"
      })
  void refusesWithTheKeyAndTheRemedy(Stage stage, String more, String key, String words) {
    assertThatThrownBy(() -> parse(stage, more.replace("\\n", "\n")))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(key)
        .hasMessageContaining(words);
  }
}
