package dev.longalign.scheduler;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.TextFile;
import dev.longalign.scheduler.SchedulerConfig.BetaSchedule;
import dev.longalign.scheduler.SchedulerConfig.FinalSigma;
import dev.longalign.scheduler.SchedulerConfig.SolverType;
import dev.longalign.scheduler.SchedulerConfig.TimestepSpacing;
import dev.longalign.scheduler.SchedulerConfig.VarianceType;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/** Interprets the keys of a scheduler_config.json as the diffusers class of a scheduler does. */
final class SchedulerConfigReader {
  private final String source;
  private final JsonObject json;

  SchedulerConfigReader(String source, JsonObject json) {
    this.source = source;
    this.json = json;
  }

  static SchedulerConfigReader open(Path file) {
    String source = file.toString();
    return new SchedulerConfigReader(source, Config.parse(source, TextFile.read(file)).json());
  }

  SchedulerConfig read(Scheduler scheduler) {
    boolean lcm = scheduler == Scheduler.LCM;
    boolean solver = scheduler == Scheduler.UNIPC || scheduler == Scheduler.DPMPP_2M;
    boolean sigmas = solver || scheduler == Scheduler.EULER;
    boolean discrete = lcm || scheduler == Scheduler.DDIM || scheduler == Scheduler.DDPM;
    refuse("thresholding", !flag("thresholding", false) || !(discrete || solver));
    for (String key :
        new String[] {
          "use_exponential_sigmas", "use_beta_sigmas", "use_flow_sigmas", "use_lu_lambdas"
        }) {
      refuse(key, !flag(key, false) || !sigmas);
    }
    if (solver) {
      refuse("solver_p", absent("solver_p"));
      refuse("predict_x0", flag("predict_x0", true));
      refuse(
          "algorithm_type",
          Set.of("dpmsolver++", "deis").contains(text("algorithm_type", "dpmsolver++")));
    }
    if (scheduler == Scheduler.EULER) {
      refuse("timestep_type", text("timestep_type", "discrete").equals("discrete"));
      refuse("interpolation_type", text("interpolation_type", "linear").equals("linear"));
      refuse("sigma_min", absent("sigma_min"));
      refuse("sigma_max", absent("sigma_max"));
    }
    double clipRange = number("clip_sample_range", 1);
    if (!(clipRange > 0)) {
      throw wrong("clip_sample_range", "a number above 0");
    }
    return new SchedulerConfig(
        noise(lcm),
        choice("prediction_type", PredictionType.EPSILON, PredictionType.class),
        choice(
            "timestep_spacing",
            discrete ? TimestepSpacing.LEADING : TimestepSpacing.LINSPACE,
            TimestepSpacing.class),
        integer("steps_offset", 0, 0, Integer.MAX_VALUE),
        sigmas && flag("use_karras_sigmas", false),
        sigmas ? choice("final_sigmas_type", FinalSigma.ZERO, FinalSigma.class) : FinalSigma.ZERO,
        flag("set_alpha_to_one", true),
        discrete && flag("clip_sample", !lcm),
        clipRange,
        0,
        scheduler == Scheduler.DDPM
            ? choice("variance_type", VarianceType.FIXED_SMALL, VarianceType.class)
            : VarianceType.FIXED_SMALL,
        solver(scheduler),
        new SchedulerConfig.Consistency(
            integer("original_inference_steps", 50, 1, Integer.MAX_VALUE),
            number("timestep_scaling", 10),
            false));
  }

  private SchedulerConfig.Noise noise(boolean lcm) {
    int timesteps = integer("num_train_timesteps", 1000, 2, 1_000_000);
    List<Float> trained = new ArrayList<>();
    if (!absent("trained_betas")) {
      try {
        json.getAsJsonArray("trained_betas").forEach(beta -> trained.add(beta.getAsFloat()));
      } catch (ClassCastException
          | IllegalStateException
          | NumberFormatException
          | UnsupportedOperationException e) {
        throw wrong("trained_betas", "a list of numbers");
      }
      if (trained.size() != timesteps) {
        throw wrong("trained_betas", "num_train_timesteps = " + timesteps + " numbers");
      }
    }
    BetaSchedule schedule =
        trained.isEmpty()
            ? choice(
                "beta_schedule",
                lcm ? BetaSchedule.SCALED_LINEAR : BetaSchedule.LINEAR,
                BetaSchedule.class)
            : BetaSchedule.TRAINED;
    double start = number("beta_start", lcm ? 0.00085 : 0.0001);
    double end = number("beta_end", lcm ? 0.012 : 0.02);
    if (!(start > 0 && start < 1 && end > 0 && end < 1)) {
      throw new LongAlignException(
          source
              + ": expected beta_start and beta_end between 0 and 1, found "
              + start
              + " and "
              + end);
    }
    return new SchedulerConfig.Noise(
        timesteps, start, end, schedule, trained, flag("rescale_betas_zero_snr", false));
  }

  private SchedulerConfig.Solver solver(Scheduler scheduler) {
    boolean dpm = scheduler == Scheduler.DPMPP_2M;
    boolean solves = dpm || scheduler == Scheduler.UNIPC;
    SolverType type = dpm ? SolverType.MIDPOINT : SolverType.BH2;
    if (solves) {
      // Each family reads the other's names as its own default, as diffusers does.
      type =
          switch (text("solver_type", dpm ? "midpoint" : "bh2")) {
            case "bh1" -> dpm ? SolverType.MIDPOINT : SolverType.BH1;
            case "heun" -> dpm ? SolverType.HEUN : SolverType.BH2;
            case "bh2", "midpoint", "logrho" -> type;
            default -> throw wrong("solver_type", dpm ? "midpoint or heun" : "bh1 or bh2");
          };
    }
    Set<Integer> disabled = new HashSet<>();
    if (scheduler == Scheduler.UNIPC && !absent("disable_corrector")) {
      try {
        json.getAsJsonArray("disable_corrector").forEach(step -> disabled.add(step.getAsInt()));
      } catch (ClassCastException
          | IllegalStateException
          | NumberFormatException
          | UnsupportedOperationException e) {
        throw wrong("disable_corrector", "a list of step indices");
      }
    }
    return new SchedulerConfig.Solver(
        solves ? integer("solver_order", 2, 1, 3) : 2,
        type,
        flag("lower_order_final", true),
        flag("euler_at_final", false),
        disabled,
        dpm ? number("lambda_min_clipped", Double.NEGATIVE_INFINITY) : Double.NEGATIVE_INFINITY);
  }

  // ---- keys; JSON null means "not given", as None does in diffusers

  private boolean absent(String key) {
    return !json.has(key) || json.get(key).isJsonNull();
  }

  private boolean flag(String key, boolean otherwise) {
    if (absent(key)) {
      return otherwise;
    }
    JsonElement value = json.get(key);
    if (!value.isJsonPrimitive() || !value.getAsJsonPrimitive().isBoolean()) {
      throw wrong(key, "true or false");
    }
    return value.getAsBoolean();
  }

  private double number(String key, double otherwise) {
    if (absent(key)) {
      return otherwise;
    }
    try {
      double value = json.get(key).getAsDouble();
      if (!Double.isNaN(value)) {
        return value;
      }
    } catch (UnsupportedOperationException | IllegalStateException | NumberFormatException e) {
      // refused below, with the name of the key
    }
    throw wrong(key, "a number");
  }

  private int integer(String key, int otherwise, int low, int high) {
    double value = number(key, otherwise);
    if (value != Math.rint(value) || value < low || value > high) {
      throw wrong(
          key,
          high == Integer.MAX_VALUE
              ? "a whole number from " + low
              : "a whole number from " + low + " to " + high);
    }
    return (int) value;
  }

  private String text(String key, String otherwise) {
    if (absent(key)) {
      return otherwise;
    }
    JsonElement value = json.get(key);
    if (!value.isJsonPrimitive()) {
      throw wrong(key, "a name");
    }
    return value.getAsString();
  }

  private <E extends Enum<E>> E choice(String key, E otherwise, Class<E> choices) {
    String name = text(key, otherwise.name()).toUpperCase(Locale.ROOT);
    List<String> names = new ArrayList<>();
    for (E choice : choices.getEnumConstants()) {
      if (choice.name().equals(name) && choice != BetaSchedule.TRAINED) {
        return choice;
      }
      if (choice != BetaSchedule.TRAINED) {
        names.add(choice.name().toLowerCase(Locale.ROOT));
      }
    }
    throw wrong(key, "one of " + names);
  }

  private void refuse(String key, boolean good) {
    if (!good) {
      throw new LongAlignException(
          source
              + ": "
              + key
              + " = "
              + json.get(key)
              + " is not supported; remove the key or choose another scheduler");
    }
  }

  private LongAlignException wrong(String key, String expected) {
    String found = String.valueOf(json.get(key));
    return new LongAlignException(
        source
            + ": "
            + key
            + ": expected "
            + expected
            + ", found "
            + (found.length() > 80 ? found.substring(0, 80) + "..." : found));
  }
}
