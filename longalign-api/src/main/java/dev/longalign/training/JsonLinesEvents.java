package dev.longalign.training;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.data.Skip;
import dev.longalign.io.Config;
import dev.longalign.io.Reasons;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Writes {@value #FILE}: a JSON object a line, whose {@code event} is {@code start}, {@code step},
 * {@code saved}, {@code validation} or {@code skip}; all have {@code step} and {@code time} (UTC).
 * Memory is in bytes. A resumed run cuts the lines of the steps that it makes again, so every step
 * is in the file once, and so is every example that was skipped.
 *
 * <pre>{@code
 * trainer.listen(new JsonLinesEvents(run));
 * }</pre>
 *
 * A line is with the operating system before the next step begins. If the file cannot be written,
 * that is warned of once and training goes on.
 */
public final class JsonLinesEvents implements TrainingListener {
  /** The file's name. */
  public static final String FILE = "events.jsonl";

  private final Path file;
  private final Set<Long> skipped = new HashSet<>();
  private EventFile out;

  /**
   * @param run the directory that the file is in
   */
  public JsonLinesEvents(Path run) {
    this.file = run.resolve(FILE);
  }

  @Override
  public void onStart(long step) {
    out = new EventFile(file, lengthUntil(step));
    write("start", step, new JsonObject());
  }

  /** How far a run came, over all processes that worked on it. */
  record Totals(double smoothedLoss, double seconds) {}

  /** What the file in a run's directory adds up to; empty if it is not there or damaged. */
  static Optional<Totals> totals(Path run) {
    double loss = Double.NaN;
    double seconds = 0;
    try (Stream<String> lines = Files.lines(run.resolve(FILE))) {
      for (String line : (Iterable<String>) lines::iterator) {
        Config event = Config.parse(FILE, line);
        if (event.getString("event").equals("step")) {
          loss = event.getDouble("smoothed_loss");
          seconds += event.getDouble("seconds");
        }
      }
    } catch (IOException | UncheckedIOException | LongAlignException damaged) {
      return Optional.empty();
    }
    return Double.isNaN(loss) ? Optional.empty() : Optional.of(new Totals(loss, seconds));
  }

  /** The length of the lines that are whole and of no later step; notes what they skipped. */
  private long lengthUntil(long step) {
    long length = 0;
    skipped.clear();
    if (!Files.isRegularFile(file)) {
      return 0;
    }
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file))) {
      ByteArrayOutputStream line = new ByteArrayOutputStream();
      for (int b = in.read(); b >= 0; b = in.read()) {
        line.write(b);
        if (b == '\n') {
          if (!isUntil(step, line.toString(StandardCharsets.UTF_8))) {
            break;
          }
          length += line.size();
          line.reset();
        }
      }
    } catch (IOException e) {
      throw new LongAlignException(
          file + ": cannot be read (" + Reasons.of(e) + "); move it away or make it readable", e);
    }
    return length;
  }

  /** A line that was cut off or is of something else counts as later than any. */
  private boolean isUntil(long step, String line) {
    try {
      JsonObject json = JsonParser.parseString(line).getAsJsonObject();
      boolean until = json.get("step").getAsLong() <= step;
      if (until && json.has("index")) {
        skipped.add(json.get("index").getAsLong());
      }
      return until;
    } catch (JsonParseException
        | IllegalStateException
        | NullPointerException
        | UnsupportedOperationException
        | NumberFormatException damaged) {
      return false;
    }
  }

  @Override
  public void onStep(StepReport step) {
    JsonObject json = new JsonObject();
    json.addProperty("loss", step.loss());
    json.addProperty("smoothed_loss", step.smoothedLoss());
    json.addProperty("gradient_norm", step.gradientNorm());
    json.addProperty("learning_rate", step.learningRate());
    json.addProperty("pictures", step.pictures());
    json.addProperty("seconds", step.seconds());
    json.addProperty("pictures_per_second", step.picturesPerSecond());
    json.addProperty("memory", step.memoryBytes());
    json.addProperty("peak_memory", step.peakBytes());
    json.addProperty("seconds_left", step.secondsLeft());
    write("step", step.step(), json);
  }

  @Override
  public void onSaved(long step, Path checkpoint) {
    JsonObject json = new JsonObject();
    json.addProperty("checkpoint", checkpoint.getFileName().toString());
    write("saved", step, json);
  }

  @Override
  public void onValidated(ValidationReport report) {
    JsonArray pictures = new JsonArray();
    for (ValidationReport.Picture picture : report.pictures()) {
      JsonObject one = new JsonObject();
      one.addProperty("name", picture.name());
      one.addProperty("prompt", picture.prompt());
      one.addProperty("seed", picture.seed());
      if (picture.file() != null) {
        one.addProperty("file", picture.file().toString());
      }
      pictures.add(one);
    }
    JsonObject values = new JsonObject();
    report.values().forEach(values::addProperty);
    JsonObject json = new JsonObject();
    json.add("pictures", pictures);
    json.add("values", values);
    write("validation", report.step(), json);
  }

  @Override
  public void onSkipped(long step, Skip skip) {
    if (skipped.add(skip.index())) {
      JsonObject json = new JsonObject();
      json.addProperty("index", skip.index());
      json.addProperty("reason", skip.reason());
      json.addProperty("skipped", skipped.size());
      write("skip", step, json);
    }
  }

  private void write(String event, long step, JsonObject rest) {
    JsonObject json = new JsonObject();
    json.addProperty("event", event);
    json.addProperty("step", step);
    json.addProperty("time", Instant.now().toString());
    for (String key : rest.keySet()) {
      JsonElement value = rest.get(key);
      json.add(key, value);
    }
    out.append((json + "\n").getBytes(StandardCharsets.UTF_8));
  }
}
