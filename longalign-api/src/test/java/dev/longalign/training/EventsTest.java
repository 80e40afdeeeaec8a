package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.data.Skip;
import dev.longalign.tensor.MemoryUse;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Event files, read again by other code than wrote them. */
class EventsTest {
  private static final Clock CLOCK =
      Clock.fixed(Instant.ofEpochSecond(1_800_000_000L), ZoneOffset.UTC);

  @TempDir private Path folder;

  private static StepReport report(long step) {
    MemoryUse memory = new MemoryUse(300 << 20, 1000L << 20, 200 << 20);
    return new StepReport(step, 1.0 / step, 0.5, 0.25, 1e-4, 8, 2, memory, 100);
  }

  private static ValidationReport pictures(long step) {
    BufferedImage image = new BufferedImage(16, 8, BufferedImage.TYPE_INT_RGB);
    image.setRGB(3, 4, 0x123456);
    return new ValidationReport(
        step,
        List.of(new ValidationReport.Picture("00", "a circle", 7, image, Path.of("run/00.png"))),
        Map.of("score", 0.75));
  }

  // ---- JSON lines

  private List<JsonObject> lines() throws IOException {
    return Files.readAllLines(folder.resolve("events.jsonl")).stream()
        .map(line -> JsonParser.parseString(line).getAsJsonObject())
        .toList();
  }

  private static List<String> summary(List<JsonObject> lines) {
    return lines.stream()
        .map(line -> line.get("event").getAsString() + " " + line.get("step").getAsLong())
        .toList();
  }

  @Test
  void jsonLinesTellEverything() throws IOException {
    JsonLinesEvents events = new JsonLinesEvents(folder);
    events.onStart(0);
    events.onStep(report(1));
    events.onSaved(1, folder.resolve("step-00000001"));
    events.onValidated(pictures(1));
    events.onSkipped(1, new Skip(0, 3, "a.png: damaged"));
    events.onSkipped(1, new Skip(0, 5, "b.png: damaged"));
    events.onSkipped(1, new Skip(1, 3, "a.png: damaged"));
    List<JsonObject> lines = lines();
    assertThat(summary(lines))
        .containsExactly("start 0", "step 1", "saved 1", "validation 1", "skip 1", "skip 1");
    JsonObject step = lines.get(1);
    assertThat(Instant.parse(step.get("time").getAsString())).isBeforeOrEqualTo(Instant.now());
    assertThat(step.get("loss").getAsDouble()).isEqualTo(1);
    assertThat(step.get("pictures_per_second").getAsDouble()).isEqualTo(4);
    assertThat(step.get("memory").getAsLong()).isEqualTo(500 << 20);
    assertThat(step.get("peak_memory").getAsLong()).isEqualTo(1000L << 20);
    assertThat(step.get("seconds_left").getAsDouble()).isEqualTo(100);
    assertThat(lines.get(2).get("checkpoint").getAsString()).isEqualTo("step-00000001");
    JsonObject picture = lines.get(3).getAsJsonArray("pictures").get(0).getAsJsonObject();
    assertThat(picture.get("prompt").getAsString()).isEqualTo("a circle");
    assertThat(lines.get(3).getAsJsonObject("values").get("score").getAsDouble()).isEqualTo(0.75);
    assertThat(lines.get(4).get("reason").getAsString()).isEqualTo("a.png: damaged");
    assertThat(lines.get(5).get("reason").getAsString()).isEqualTo("b.png: damaged");
    assertThat(lines.get(5).get("skipped").getAsLong()).isEqualTo(2);
    JsonLinesEvents resumed = new JsonLinesEvents(folder);
    resumed.onStart(1);
    resumed.onSkipped(1, new Skip(1, 5, "b.png: damaged")); // told before the run was stopped
    assertThat(summary(lines())).endsWith("skip 1", "skip 1", "start 1");
  }

  @Test
  void aResumedRunCutsTheLinesOfStepsThatItMakesAgain() throws IOException {
    JsonLinesEvents first = new JsonLinesEvents(folder);
    first.onStart(0);
    for (int step = 1; step <= 3; step++) {
      first.onStep(report(step));
    }
    Path file = folder.resolve("events.jsonl");
    Files.writeString(file, Files.readString(file) + "{\"event\":\"step\",\"st"); // killed here
    JsonLinesEvents second = new JsonLinesEvents(folder);
    second.onStart(2);
    second.onStep(report(3));
    assertThat(summary(lines()))
        .containsExactly("start 0", "step 1", "step 2", "start 2", "step 3");
    JsonLinesEvents third = new JsonLinesEvents(folder);
    third.onStart(0);
    // What is behind the end is cut when the next record is written, not only overwritten.
    assertThat(summary(lines())).containsExactly("start 0", "start 0");
  }

  @Test
  void aFullDiskStopsNothing() throws IOException {
    Path full = Path.of("/dev/full");
    assumeTrue(Files.exists(full), "this system has no /dev/full");
    Path link = Files.createSymbolicLink(folder.resolve("events.jsonl"), full);
    JsonLinesEvents events = new JsonLinesEvents(folder);
    events.onStart(0);
    events.onStep(report(1));
    Files.delete(link); // there is space again
    events.onStep(report(2));
    assertThat(summary(lines())).containsExactly("step 2");
    Path notADirectory = Files.createFile(folder.resolve("file"));
    TensorBoardEvents elsewhere = new TensorBoardEvents(notADirectory);
    elsewhere.onStart(0);
    elsewhere.onStep(report(1));
  }

  @Test
  void interruptedThreadsStillWrite() throws IOException {
    JsonLinesEvents events = new JsonLinesEvents(folder);
    events.onStart(0);
    Thread.currentThread().interrupt();
    events.onStep(report(1));
    assertThat(Thread.interrupted()).isTrue();
    assertThat(summary(lines())).containsExactly("start 0", "step 1");
  }

  // ---- TensorBoard

  private List<Path> eventFiles() throws IOException {
    try (Stream<Path> all = Files.list(folder)) {
      return all.sorted().toList();
    }
  }

  @Test
  void tensorBoardScalarsAndPictures() throws IOException {
    TensorBoardEvents events = new TensorBoardEvents(folder, CLOCK);
    events.onStart(0);
    events.onStep(report(4));
    events.onValidated(pictures(1L << 40));
    List<Path> files = eventFiles();
    assertThat(files)
        .extracting(file -> file.getFileName().toString())
        .containsExactly("events.out.tfevents.1800000000.longalign");
    List<EventReader.Event> read = EventReader.read(files.get(0));
    assertThat(read).hasSize(4);
    assertThat(read).allSatisfy(e -> assertThat(e.wallTime()).isEqualTo(1.8e9));
    assertThat(read.get(0).fileVersion()).isEqualTo("brain.Event:2");
    assertThat(read.get(1).sessionStatus()).isEqualTo(1);
    assertThat(read.get(1).step()).isEqualTo(1);
    EventReader.Event step = read.get(2);
    assertThat(step.step()).isEqualTo(4);
    assertThat(step.scalars())
        .containsEntry("train/loss", 0.25f)
        .containsEntry("train/smoothed_loss", 0.5f)
        .containsEntry("train/gradient_norm", 0.25f)
        .containsEntry("train/learning_rate", 1e-4f)
        .containsEntry("speed/pictures_per_second", 4f)
        .containsEntry("memory/now", (float) (500 << 20))
        .containsEntry("memory/peak", (float) (1000L << 20))
        .hasSize(7);
    EventReader.Event validation = read.get(3);
    assertThat(validation.step()).isEqualTo(1L << 40);
    assertThat(validation.scalars().get("validation/score")).isCloseTo(0.75f, within(0f));
    EventReader.Image image = validation.images().get("validation/00");
    assertThat(List.of(image.height(), image.width(), image.colorspace()))
        .containsExactly(8, 16, 3);
    BufferedImage decoded = ImageIO.read(new ByteArrayInputStream(image.encoded()));
    assertThat(decoded.getRGB(3, 4) & 0xffffff).isEqualTo(0x123456);
  }

  @Test
  void aResumedRunBeginsAFileThatTellsTensorBoardToForget() throws IOException {
    for (long step : new long[] {0, 2, 2}) {
      TensorBoardEvents events = new TensorBoardEvents(folder, CLOCK);
      events.onStart(step);
      events.onStep(report(step + 1));
    }
    List<Path> files = eventFiles();
    assertThat(files)
        .extracting(file -> file.getFileName().toString())
        .containsExactly(
            "events.out.tfevents.1800000000.longalign",
            "events.out.tfevents.1800000001.longalign",
            "events.out.tfevents.1800000002.longalign");
    for (Path file : files.subList(1, 3)) {
      EventReader.Event start = EventReader.read(file).get(1);
      assertThat(start.sessionStatus()).isEqualTo(1);
      assertThat(start.step()).isEqualTo(3); // what is at or after it is forgotten
    }
  }
}
