package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.data.FeatureExample;
import dev.longalign.data.Skip;
import dev.longalign.io.Sha256;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a run must find again when it continues, and what it says if it does not. */
class ResumeTest {
  private static final Map<String, String> SETTINGS =
      Map.of("batchSize", "4", "data", "panels (long)", "seed", "7", "unet/", "0123456789ab");

  @TempDir private static Path made;

  @TempDir Path run;

  @BeforeAll
  static void checkpointsOfTwoAndThreeSteps() {
    train(made, 2, SETTINGS);
    train(made, 3, SETTINGS);
  }

  private static void train(Path run, long steps, Map<String, String> identity) {
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, run, identity)) {
      trainer.resume();
      trainer.trainTo(steps);
    }
  }

  private static Trainer<FeatureExample> trainer(
      TinyTraining tiny, Path run, Map<String, String> identity) {
    return new TinyRun().trainer(tiny, run, identity, Checkpoints.lock(run));
  }

  private void copyOfMade() throws IOException {
    try (Stream<Path> all = Files.walk(made)) {
      for (Path file : all.filter(f -> !f.equals(made)).toList()) {
        Files.copy(file, run.resolve(made.relativize(file).toString()));
      }
    }
  }

  private long resumed() {
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, run, SETTINGS)) {
      trainer.resume();
      return trainer.step();
    }
  }

  @Test
  void changesAreListedAndRefusedUnlessAllowed() {
    train(run, 2, SETTINGS);
    Map<String, String> changed =
        Map.of("batchSize", "8", "data", "panels (long)", "seed", "7", "lora", "none");
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, run, changed)) {
      assertThatThrownBy(trainer::resume)
          .isInstanceOf(LongAlignException.class)
          .hasMessage(
              run
                  + ": what is trained has changed since step 2: batchSize was 4, is 8; lora was"
                  + " absent, is none; unet/ was 0123456789ab, is absent. Train as it was, or into"
                  + " another directory, or allow it (--allow-changes)");
      assertThat(trainer.step()).isZero();
      assertThat(trainer.resume(true)).isTrue();
      assertThat(trainer.step()).isEqualTo(2);
      trainer.trainTo(4);
    }
    train(run, 5, changed); // which is what the checkpoint says now
  }

  @Test
  void otherDataBeginsAnew() {
    train(run, 2, SETTINGS);
    Map<String, String> changed =
        Map.of("batchSize", "4", "data", "folder", "seed", "7", "unet/", "0123456789ab");
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = trainer(tiny, run, changed)) {
      trainer.resume(true);
      trainer.trainTo(3);
    }
    assertThat(state(3).get("position").getAsString()).contains("\"index\":2"); // of a step's two
  }

  /** As versions before wrote them. */
  @Test
  void checkpointsThatDoNotSayAreContinued() {
    train(run, 2, Map.of());
    assertThat(state(2).has("settings")).isFalse();
    train(run, 4, SETTINGS);
    assertThat(state(4).getAsJsonObject("settings").get("batchSize").getAsString()).isEqualTo("4");
  }

  @Test
  void fewerStepsThanAreMadeAreRefused() {
    train(run, 3, SETTINGS);
    assertThatThrownBy(() -> train(run, 2, SETTINGS))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("3 steps are made already, and steps says 2; set steps to 3 or more");
    train(run, 3, SETTINGS);
  }

  private JsonObject state(long step) {
    try {
      Path file = run.resolve("step-0000000" + step + "/state.json");
      return JsonParser.parseString(Files.readString(file)).getAsJsonObject();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  // ---- damaged by somebody who also made the hashes right

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "random | \"no base64!\" | random",
        "random | \"AAAA\" | random state",
        "random | [1] | random",
        "step | -5 | step",
        "step | \"x\" | step",
        "position | {} | position",
        "position | \"{}\" | epoch",
        "position | \"[[[\" | data position",
        "settings | [] | settings",
        "settings | {\"a\":[]} | a",
        "version | {} | version",
        "stage | 3 | stage"
      })
  void aStateThatMakesNoSenseIsRefused(String key, String value, String named) throws IOException {
    copyOfMade();
    rewrite(
        state -> {
          state.add(key, JsonParser.parseString(value));
          return state;
        });
    assertThatThrownBy(this::resumed)
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining(named);
    rewrite(state -> state(2)); // which is that of another step, but makes sense
    assertThat(resumed()).isEqualTo(2);
  }

  private void rewrite(UnaryOperator<JsonObject> change) throws IOException {
    Path directory = run.resolve("step-00000003");
    JsonObject state = change.apply(state(3));
    String before = Sha256.of(directory.resolve("state.json"));
    Files.writeString(directory.resolve("state.json"), state.toString());
    Path manifest = directory.resolve("manifest.json");
    Files.writeString(
        manifest,
        Files.readString(manifest).replace(before, Sha256.of(directory.resolve("state.json"))));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{}",
        "[]",
        "{\"files\": []}",
        "{\"files\": {\"state.json\": []}}",
        "{\"files\": {\"state.json\": {\"sha256\": {}}, \"../x\": {\"sha256\": \"\"}}}",
        "{\"files\": {\"state.json\\u0000\": {\"sha256\": 1}}}",
        "no json"
      })
  void aManifestThatMakesNoSenseLosesItsCheckpointOnly(String text) throws IOException {
    copyOfMade();
    assertThat(resumed()).isEqualTo(3);
    Files.writeString(run.resolve("step-00000003/manifest.json"), text);
    assertThat(resumed()).isEqualTo(2);
  }

  // ---- validation

  /** Remembers what it has made, as pictures on a disk do. */
  private static final class Looks implements Validation {
    final List<Long> made = new ArrayList<>();

    @Override
    public ValidationReport validate(long step) {
      made.add(step);
      return new ValidationReport(step, List.of(), Map.of());
    }

    @Override
    public boolean isMade(long step) {
      return made.contains(step);
    }
  }

  private void look(long steps, Looks looks) {
    TrainerSettings settings = TinyRun.SETTINGS.withValidation(2);
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun(settings).trainer(tiny, run)) {
      trainer.validate(looks);
      trainer.resume();
      trainer.trainTo(steps);
    }
  }

  @Test
  void aMissedValidationIsMadeWhenTheRunGoesOn() {
    Looks looks = new Looks();
    look(2, looks);
    assertThat(looks.made).containsExactly(2L);
    look(2, looks);
    assertThat(looks.made).as("it is there").containsExactly(2L);
    looks.made.clear(); // as if the process had been killed before
    look(5, looks);
    assertThat(looks.made).containsExactly(2L, 4L);
    looks.made.clear();
    look(5, looks);
    assertThat(looks.made).as("none was due after step 5").isEmpty();
  }

  // ---- skipped examples

  @Test
  void aSkippedExampleIsToldOnceThoughEpochsMeetItAgain() {
    List<Skip> told = new ArrayList<>();
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer = new TinyRun().withUnusable(5).trainer(tiny, run)) {
      trainer.listen(
          new TrainingListener() {
            @Override
            public void onSkipped(long step, Skip skip) {
              told.add(skip);
            }
          });
      trainer.listen(new JsonLinesEvents(run));
      trainer.trainTo(9); // more than two epochs of seven
    }
    assertThat(told).extracting(Skip::reason).containsExactly("example 5 is unusable");
    assertThat(run.resolve(JsonLinesEvents.FILE))
        .content()
        .containsOnlyOnce("example 5 is unusable");
  }

  @Test
  void aSecondTrainerOfARunIsRefused() {
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> first = new TinyRun().trainer(tiny, run)) {
      assertThatThrownBy(() -> new TinyRun().trainer(tiny, run))
          .isInstanceOf(LongAlignException.class)
          .hasMessageStartingWith(run + " is being written by this process ");
      first.trainTo(1);
    }
    train(run, 2, Map.of());
  }
}
