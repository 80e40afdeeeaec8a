package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Training in processes of its own that are killed (SIGKILL) at fifty moments, some of them while a
 * checkpoint is being written: the end is that of a run which nobody disturbed, byte for byte.
 */
class KilledTrainingTest {
  private static final Logger LOG = LoggerFactory.getLogger(KilledTrainingTest.class);
  private static final int KILLS = 50;

  /** Two runs at a time, as many processors as the build is meant for. */
  private static final int CHAINS = 2;

  private static final int LAST = 80;

  @TempDir private static Path folder;

  @BeforeAll
  static void neverKilled() {
    // In this process: so it is also compared that two processes compute the same.
    TrainingProcess.train(folder.resolve("whole"), LAST, LAST, line -> {});
  }

  private static Process start(Path run, int saveEvery) throws IOException {
    String classPath =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-Xshare:auto",
            "-Xmx256m",
            "-cp",
            classPath,
            TrainingProcess.class.getName(),
            run.toString(),
            Integer.toString(LAST),
            Integer.toString(saveEvery))
        .redirectError(ProcessBuilder.Redirect.DISCARD)
        .start();
  }

  /** What a process said before it ended. */
  private static final class Life {
    long begin = -1;
    long step = -1;
    long saved = -1;
    boolean ended;

    void hear(String line) {
      String[] words = line.split(" ");
      long number = Long.parseLong(words[1]);
      switch (words[0]) {
        case "begin" -> begin = number;
        case "step" -> step = number;
        case "saved" -> saved = number;
        case "end" -> ended = true;
        default -> throw new AssertionError(line);
      }
    }
  }

  /** When to kill. */
  private enum Moment {
    /** A time after the start: often before the first step, while the checkpoint is read. */
    STARTING,
    /** A time after some step. */
    STEPPING,
    /** As soon as a checkpoint is being written. */
    SAVING
  }

  @Test
  void fiftyKillsLeaveNoTrace() throws Exception {
    List<CompletableFuture<Integer>> chains = new ArrayList<>();
    for (int chain = 0; chain < CHAINS; chain++) {
      int number = chain;
      chains.add(
          CompletableFuture.supplyAsync(
              () -> chain(folder.resolve("chain" + number), 1 + 2 * number, new Random(number))));
    }
    int duringSave = 0;
    for (CompletableFuture<Integer> chain : chains) {
      duringSave += chain.get();
    }
    LOG.info("{} kills, {} of them left an unfinished checkpoint", KILLS, duringSave);
    assertThat(duringSave).as("kills while a checkpoint was being written").isPositive();
  }

  /** Half of the kills; returns how many of them left an unfinished checkpoint. */
  private static int chain(Path run, int saveEvery, Random random) {
    int duringSave = 0;
    long safe = 0; // what must never be lost
    try {
      Files.createDirectories(run);
      int kills = KILLS / CHAINS;
      for (int kill = 0; kill < kills; kill++) {
        Moment moment = Moment.values()[kill % 3];
        // Far enough from the end that there is something left for every kill.
        long until = Math.max(safe + 1, (long) (LAST - 10) * (kill + 1) / kills);
        Life life = live(run, saveEvery, moment, until, random);
        assertThat(life.ended).as("kill " + kill + " came before the end").isFalse();
        if (life.begin >= 0) {
          assertThat(life.begin).as("resumed after kill " + kill).isGreaterThanOrEqualTo(safe);
          safe = life.begin;
        }
        safe = Math.max(safe, life.saved);
        // Every saveEvery steps at the latest there is a checkpoint, or it is being written.
        assertThat(life.step - safe)
            .as("steps lost by kill " + kill)
            .isLessThanOrEqualTo(saveEvery);
        duringSave += unfinished(run).isEmpty() ? 0 : 1;
      }
      Life life = live(run, saveEvery, null, LAST, random);
      assertThat(life.ended).isTrue();
      assertThat(life.begin).isGreaterThanOrEqualTo(safe);
      assertThat(unfinished(run)).isEmpty();
      assertSameEnd(run);
      assertEventsAreWhole(run);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    return duringSave;
  }

  /**
   * Starts a process and kills it.
   *
   * @param moment null: it is left alone
   * @param until it is killed after this step at the latest
   */
  private static Life live(Path run, int saveEvery, Moment moment, long until, Random random)
      throws IOException, InterruptedException {
    Process process = start(run, saveEvery);
    ProcessHandle handle = process.toHandle(); // Process.destroyForcibly would lose what was said
    Life life = new Life();
    try (BufferedReader said =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      if (moment == Moment.STARTING) {
        killAfter(handle, 200 + random.nextInt(1000));
      }
      int steps = 1 + random.nextInt(3);
      boolean killed = false;
      for (String line = said.readLine(); line != null; line = said.readLine()) {
        life.hear(line);
        if (killed || moment == null || life.step < 0) {
          continue;
        }
        if (moment == Moment.SAVING) {
          awaitSave(run, process);
          killed = handle.destroyForcibly();
        } else if (moment == Moment.STEPPING && life.step == life.begin + steps) {
          killAfter(handle, random.nextInt(30));
        } else if (life.step >= until) {
          killed = handle.destroyForcibly();
        }
      }
    } finally {
      handle.destroyForcibly();
    }
    assertThat(process.waitFor(1, TimeUnit.MINUTES)).isTrue();
    return life;
  }

  private static void killAfter(ProcessHandle process, int milliseconds) {
    CompletableFuture.delayedExecutor(milliseconds, TimeUnit.MILLISECONDS)
        .execute(process::destroyForcibly);
  }

  /** Looks without a pause until a checkpoint is being written, for a while. */
  private static void awaitSave(Path run, Process process) throws IOException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
    while (unfinished(run).isEmpty() && process.isAlive() && System.nanoTime() < end) {
      Thread.onSpinWait();
    }
  }

  private static List<Path> unfinished(Path run) throws IOException {
    List<Path> found = new ArrayList<>();
    try (DirectoryStream<Path> hidden = Files.newDirectoryStream(run, ".step-*")) {
      hidden.forEach(found::add);
    }
    return found;
  }

  private static void assertSameEnd(Path run) throws IOException {
    for (String file : new String[] {"state.safetensors", "state.json", "manifest.json"}) {
      String name = String.format(Locale.ROOT, "step-%08d/%s", LAST, file);
      assertThat(Files.readAllBytes(run.resolve(name)))
          .as(run.resolve(name).toString())
          .isEqualTo(Files.readAllBytes(folder.resolve("whole").resolve(name)));
    }
  }

  /** Every step is told of once, in order, with the loss of the undisturbed run. */
  private static void assertEventsAreWhole(Path run) throws IOException {
    assertThat(losses(run)).isEqualTo(losses(folder.resolve("whole")));
    try (Stream<Path> files = Files.list(run)) {
      for (Path file :
          files.filter(f -> f.getFileName().toString().startsWith("events.out")).toList()) {
        assertThat(EventReader.read(file)).as(file.toString()).isNotEmpty();
      }
    }
  }

  private static List<String> losses(Path run) throws IOException {
    return Files.readAllLines(run.resolve(JsonLinesEvents.FILE)).stream()
        .map(line -> JsonParser.parseString(line).getAsJsonObject())
        .filter(json -> json.get("event").getAsString().equals("step"))
        .map(KilledTrainingTest::loss)
        .toList();
  }

  private static String loss(JsonObject step) {
    return step.get("step") + ": " + step.get("loss") + ", " + step.get("smoothed_loss");
  }

  @Test
  void aProcessThatIsAskedToEndSavesTheStepItIsIn() throws Exception {
    Path run = folder.resolve("asked");
    Process process = start(run, 1000);
    Life life = new Life();
    try (BufferedReader said =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = said.readLine(); line != null; line = said.readLine()) {
        life.hear(line);
        if (line.equals("step 2")) {
          process.toHandle().destroy(); // SIGTERM
        }
      }
    }
    assertThat(process.waitFor()).isEqualTo(143);
    assertThat(life.step).isBetween(2L, (long) LAST - 1);
    assertThat(life.saved).isEqualTo(life.step);
    assertThat(life.ended).isTrue();
    assertThat(unfinished(run)).isEmpty();
    Life rest = live(run, 1000, null, LAST, new Random(0));
    assertThat(rest.begin).isEqualTo(life.saved);
    assertSameEnd(run);
    assertEventsAreWhole(run);
  }
}
