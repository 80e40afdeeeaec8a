package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.data.FeatureExample;
import dev.longalign.fuzz.Fuzzer;
import dev.longalign.io.Sha256;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Checkpoints with a damaged state whose hashes are made right, and with a damaged manifest. */
class CheckpointFuzzTest {
  private static final int INPUTS = Integer.getInteger("longalign.fuzz.inputs", 0);
  private static final long SEED = Long.getLong("longalign.fuzz.seed", 1);
  private static final long MILLISECONDS = INPUTS > 0 ? Long.MAX_VALUE / 2_000_000 : 2_000;

  @TempDir Path folder;

  @Test
  void noStateAndNoManifestIsARawException() throws Exception {
    Path run = folder.resolve("run");
    try (TinyTraining tiny = TinyRun.tiny();
        Trainer<FeatureExample> trainer =
            new TinyRun().trainer(tiny, run, Map.of("rank", "4"), Checkpoints.lock(run))) {
      trainer.trainTo(1);
    }
    Path step = Path.of("step-00000001");
    Path state = run.resolve(step).resolve("state.json");
    Path manifest = run.resolve(step).resolve("manifest.json");
    byte[] goodState = Files.readAllBytes(state);
    String goodManifest = Files.readString(manifest);
    String hash = Sha256.of(state);
    fuzz(
        new Fuzzer.Kind(
            "checkpoint-state",
            step.resolve("state.json"),
            List.of(goodState),
            file -> {
              Files.writeString(manifest, goodManifest.replace(hash, Sha256.of(file)));
              new Checkpoints(run, 3, true).latest();
            }));
    Files.write(state, goodState);
    fuzz(
        new Fuzzer.Kind(
            "checkpoint-manifest",
            step.resolve("manifest.json"),
            List.of(goodManifest.getBytes(java.nio.charset.StandardCharsets.UTF_8)),
            file -> new Checkpoints(run, 3, true).latest()));
  }

  private void fuzz(Fuzzer.Kind kind) throws Exception {
    Fuzzer fuzzer = new Fuzzer(folder.resolve("run"), Path.of("target/fuzz"));
    int inputs = INPUTS > 0 ? INPUTS : Integer.MAX_VALUE;
    Fuzzer.Report report = fuzzer.run(kind, SEED, inputs, MILLISECONDS);
    assertThat(report.faults()).isEmpty();
    assertThat(report.inputs()).isPositive();
  }
}
