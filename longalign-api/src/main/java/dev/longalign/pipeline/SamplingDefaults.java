package dev.longalign.pipeline;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.Config;
import dev.longalign.scheduler.Scheduler;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;

/**
 * What a model is sampled with where a request does not say. A model directory may have them in
 * {@value #FILE}: {@code {"scheduler": "lcm", "steps": 4, "guidanceScale": 0}}; what the file
 * leaves out is as for Stable Diffusion 1.5.
 *
 * @param steps 1 to 1000, of {@code scheduler}; others have their usual number
 * @param guidanceScale 0 to 1000; 0 (and 1) for none
 */
public record SamplingDefaults(Scheduler scheduler, int steps, float guidanceScale) {
  /** The file's name in a model directory. */
  public static final String FILE = "longalign.json";

  /** What Stable Diffusion 1.5 is sampled with in the paper. */
  public static final SamplingDefaults STABLE_DIFFUSION =
      new SamplingDefaults(Scheduler.UNIPC, usualSteps(Scheduler.UNIPC), 7.5f);

  /** What a model distilled into a few steps is sampled with. */
  public static SamplingDefaults distilled(int steps) {
    return new SamplingDefaults(Scheduler.LCM, steps, 0);
  }

  /** The steps of a scheduler where nobody says. */
  public static int usualSteps(Scheduler scheduler) {
    return scheduler == Scheduler.LCM ? 4 : 25;
  }

  /** The steps that a scheduler takes with this model. */
  public int stepsOf(Scheduler other) {
    return other == scheduler ? steps : usualSteps(other);
  }

  /**
   * The guidance that a scheduler takes with this model: LCM has it distilled, and says nothing
   * about others.
   */
  public float guidanceOf(Scheduler other) {
    if (other == scheduler) {
      return guidanceScale;
    } else if (other == Scheduler.LCM) {
      return 0;
    }
    return scheduler == Scheduler.LCM ? STABLE_DIFFUSION.guidanceScale : guidanceScale;
  }

  /**
   * Those of a model directory.
   *
   * @throws dev.longalign.LongAlignException if its file has values that cannot be used
   */
  public static SamplingDefaults read(Path model) {
    Path file = model.resolve(FILE);
    return Files.isRegularFile(file) ? of(Config.read(file)) : STABLE_DIFFUSION;
  }

  /** From the keys of {@link #json}. */
  public static SamplingDefaults of(Config config) {
    Scheduler scheduler = scheduler(config);
    int steps = config.getInt("steps", usualSteps(scheduler));
    float guidance = config.getFloat("guidanceScale", STABLE_DIFFUSION.guidanceOf(scheduler));
    if (steps < 1 || steps > 1000) {
      throw config.refusal("steps", "1 to 1000");
    } else if (!(guidance >= 0 && guidance <= 1000)) {
      throw config.refusal("guidanceScale", "0 to 1000");
    }
    return new SamplingDefaults(scheduler, steps, guidance);
  }

  private static Scheduler scheduler(Config config) {
    String name = config.getString("scheduler", key(STABLE_DIFFUSION.scheduler));
    return Arrays.stream(Scheduler.values())
        .filter(s -> key(s).equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                config.refusal(
                    "scheduler",
                    "one of "
                        + Arrays.stream(Scheduler.values()).map(SamplingDefaults::key).toList()));
  }

  private static String key(Scheduler scheduler) {
    return scheduler.name().toLowerCase(Locale.ROOT);
  }

  public JsonObject json() {
    JsonObject json = new JsonObject();
    json.addProperty("scheduler", key(scheduler));
    json.addProperty("steps", steps);
    json.addProperty("guidanceScale", guidanceScale);
    return json;
  }

  /** Writes {@value #FILE} into a model directory. */
  public void write(Path model) {
    String text = new GsonBuilder().setPrettyPrinting().create().toJson(json()) + "\n";
    AtomicFiles.write(model.resolve(FILE), out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
  }
}
