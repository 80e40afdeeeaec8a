package dev.longalign.benchmarks.miniature;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import dev.longalign.LongAlignException;
import dev.longalign.Provenance;
import dev.longalign.benchmarks.Machine;
import dev.longalign.io.AtomicFiles;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * What is known of one run: written to {@code run.json} in its directory after every measurement,
 * so that a run that was interrupted goes on where it was.
 */
final class RunLog {
  static final Gson GSON = new GsonBuilder().setPrettyPrinting().disableHtmlEscaping().create();

  private static final String FILE = "run.json";

  /** How many steps are left does not change what was measured before. */
  private static final String STEPS = "steps";

  /**
   * A stretch of training without interruption.
   *
   * @param from steps made before it
   * @param to steps made after it
   * @param loss the mean of its steps
   * @param gradientNorm the mean of its steps, before clipping
   * @param seconds of its steps
   */
  record Stretch(
      long from, long to, double loss, double gradientNorm, double seconds, long peakBytes) {}

  /** The file. */
  private record Content(
      String started,
      String software,
      int threads,
      Machine machine,
      JsonObject settings,
      List<Stretch> training,
      List<Point> points) {}

  private final Path directory;
  private final Content content;

  private RunLog(Path directory, Content content) {
    this.directory = directory;
    this.content = content;
  }

  /**
   * Opens the log of a run, or begins one.
   *
   * @param settings everything that the run's numbers depend on
   * @throws LongAlignException if the directory has a run with other settings
   */
  static RunLog open(Path directory, JsonObject settings, int threads) {
    Optional<RunLog> known = read(directory);
    if (known.isPresent()) {
      Content before = known.get().content;
      if (!withoutSteps(before.settings).equals(withoutSteps(settings))) {
        throw new LongAlignException(
            directory
                + ": there is a run with other settings: "
                + before.settings
                + " instead of "
                + settings
                + "; give --out another directory, or delete this one");
      }
      return new RunLog(
          directory,
          new Content(
              before.started,
              before.software,
              before.threads,
              before.machine,
              settings,
              new ArrayList<>(before.training),
              new ArrayList<>(before.points)));
    }
    try {
      Files.createDirectories(directory);
    } catch (IOException e) {
      throw new LongAlignException(directory + ": cannot be made: " + e, e);
    }
    return new RunLog(
        directory,
        new Content(
            Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
            Provenance.thisSoftware(),
            threads,
            Machine.here(List.of("cpu")),
            settings,
            new ArrayList<>(),
            new ArrayList<>()));
  }

  private static JsonObject withoutSteps(JsonObject settings) {
    JsonObject rest = settings.deepCopy();
    rest.remove(STEPS);
    return rest;
  }

  /** The log in a directory, if there is one. */
  static Optional<RunLog> read(Path directory) {
    Path file = directory.resolve(FILE);
    if (!Files.isRegularFile(file)) {
      return Optional.empty();
    }
    try {
      return Optional.of(
          new RunLog(directory, GSON.fromJson(Files.readString(file), Content.class)));
    } catch (IOException | JsonParseException e) {
      throw new LongAlignException(file + " cannot be read as the log of a run: " + e, e);
    }
  }

  Path directory() {
    return directory;
  }

  int threads() {
    return content.threads;
  }

  JsonObject settings() {
    return content.settings;
  }

  List<Point> points() {
    return List.copyOf(content.points);
  }

  List<Stretch> training() {
    return List.copyOf(content.training);
  }

  Optional<Point> find(String model, long step, Setting setting) {
    return content.points.stream().filter(point -> point.isOf(model, step, setting)).findFirst();
  }

  /** The measurements of a model, by steps of training. */
  List<Point> curve(String model, Setting setting) {
    return content.points.stream()
        .filter(point -> point.isOf(model, point.step(), setting))
        .sorted(Comparator.comparingLong(Point::step))
        .toList();
  }

  void add(Point point) {
    content.points.add(point);
    write();
  }

  void add(Stretch stretch) {
    content.training.add(stretch);
    write();
  }

  private void write() {
    byte[] json = (GSON.toJson(content) + "\n").getBytes(StandardCharsets.UTF_8);
    AtomicFiles.write(directory.resolve(FILE), out -> out.write(json));
  }

  /** Everything in it. */
  JsonObject json() {
    return GSON.toJsonTree(content).getAsJsonObject();
  }
}
