package dev.longalign.scheduler;

import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * What a {@code scheduler/scheduler_config.json} says to one scheduler. As in diffusers a file
 * written by another scheduler may be used: keys that are not in it take the default of the
 * scheduler that reads it, not of the one that wrote it.
 *
 * <pre>{@code
 * SchedulerConfig config = SchedulerConfig.read(dir.resolve("scheduler/scheduler_config.json"), Scheduler.UNIPC);
 * }</pre>
 *
 * @param noise the noise schedule of training
 * @param predictionType what the network outputs
 * @param timestepSpacing how the steps are spread over the training timesteps
 * @param stepsOffset added to every timestep of {@link TimestepSpacing#LEADING}
 * @param karrasSigmas spread the noise levels after Karras et al. (2022) instead
 * @param finalSigma the noise level after the last step
 * @param setAlphaToOne DDIM: the last step goes to alpha 1, not to that of timestep 0
 * @param clipSample DDIM, DDPM, LCM: limit the predicted x0 to +-clipSampleRange
 * @param clipSampleRange a positive number
 * @param eta DDIM: 0 is deterministic, 1 adds as much noise as DDPM
 * @param varianceType DDPM: the noise added in a step
 * @param solver UniPC and DPM-Solver++
 * @param consistency LCM
 */
public record SchedulerConfig(
    Noise noise,
    PredictionType predictionType,
    TimestepSpacing timestepSpacing,
    int stepsOffset,
    boolean karrasSigmas,
    FinalSigma finalSigma,
    boolean setAlphaToOne,
    boolean clipSample,
    double clipSampleRange,
    double eta,
    VarianceType varianceType,
    Solver solver,
    Consistency consistency) {
  public SchedulerConfig {
    if (!(eta >= 0 && eta <= 1)) {
      throw new LongAlignException("eta: expected 0 to 1, found " + eta);
    }
  }

  /** The form of beta over the training timesteps. */
  public enum BetaSchedule {
    LINEAR,
    SCALED_LINEAR,
    SQUAREDCOS_CAP_V2,
    TRAINED
  }

  /**
   * Table 2 of "Common Diffusion Noise Schedules and Sample Steps are Flawed" (arXiv 2305.08891).
   */
  public enum TimestepSpacing {
    LINSPACE,
    LEADING,
    TRAILING
  }

  /** The noise level after the last step: none, or that of training timestep 0. */
  public enum FinalSigma {
    ZERO,
    SIGMA_MIN
  }

  /** Variance of a DDPM step: the posterior's, or beta. */
  public enum VarianceType {
    FIXED_SMALL,
    FIXED_SMALL_LOG,
    FIXED_LARGE
  }

  /**
   * B(h) of UniPC (arXiv 2302.04867), or the second-order rule of DPM-Solver++ (arXiv 2211.01095).
   */
  public enum SolverType {
    BH1,
    BH2,
    MIDPOINT,
    HEUN
  }

  /**
   * @param numTrainTimesteps at least 2
   * @param betaStart beta of timestep 0
   * @param betaEnd beta of the last timestep
   * @param betaSchedule how beta grows between them
   * @param trainedBetas one beta per timestep for {@link BetaSchedule#TRAINED}, else empty
   * @param zeroTerminalSnr rescale so that the last timestep is pure noise
   */
  public record Noise(
      int numTrainTimesteps,
      double betaStart,
      double betaEnd,
      BetaSchedule betaSchedule,
      List<Float> trainedBetas,
      boolean zeroTerminalSnr) {
    public Noise {
      trainedBetas = List.copyOf(trainedBetas);
    }
  }

  /**
   * @param order 1 to 3
   * @param type BH1 or BH2 for UniPC, MIDPOINT or HEUN for DPM-Solver++
   * @param lowerOrderFinal lower the order near the end
   * @param eulerAtFinal DPM-Solver++: first order in the last step, however many there are
   * @param disableCorrector UniPC: indices of steps whose result is not corrected
   * @param lambdaMinClipped DPM-Solver++: smallest log(alpha / sigma) to start from, or negative
   *     infinity
   */
  public record Solver(
      int order,
      SolverType type,
      boolean lowerOrderFinal,
      boolean eulerAtFinal,
      Set<Integer> disableCorrector,
      double lambdaMinClipped) {
    public Solver {
      disableCorrector = Set.copyOf(disableCorrector);
    }
  }

  /**
   * @param originalInferenceSteps DDIM steps that the model was distilled with
   * @param timestepScaling of the boundary condition
   * @param boundaryScalings false: c_skip = 0, c_out = 1, as LongAlign samples; true: as diffusers
   *     does
   */
  public record Consistency(
      int originalInferenceSteps, double timestepScaling, boolean boundaryScalings) {}

  /**
   * Reads the keys of a scheduler_config.json for a scheduler.
   *
   * @throws dev.longalign.LongAlignException naming the key if a value cannot be honoured
   */
  public static SchedulerConfig of(JsonObject json, Scheduler scheduler) {
    return new SchedulerConfigReader("scheduler config", json).read(scheduler);
  }

  /** As {@link #of}, from a file that messages name. */
  public static SchedulerConfig read(Path file, Scheduler scheduler) {
    return SchedulerConfigReader.open(file).read(scheduler);
  }

  /** What Stable Diffusion 1.5's scheduler_config.json says. */
  public static SchedulerConfig stableDiffusion(Scheduler scheduler) {
    JsonObject json = new JsonObject();
    json.addProperty("num_train_timesteps", 1000);
    json.addProperty("beta_start", 0.00085);
    json.addProperty("beta_end", 0.012);
    json.addProperty("beta_schedule", "scaled_linear");
    json.addProperty("clip_sample", false);
    json.addProperty("set_alpha_to_one", false);
    json.addProperty("steps_offset", 1);
    return of(json, scheduler);
  }

  public SchedulerConfig withPredictionType(PredictionType type) {
    return new SchedulerConfig(
        noise,
        type,
        timestepSpacing,
        stepsOffset,
        karrasSigmas,
        finalSigma,
        setAlphaToOne,
        clipSample,
        clipSampleRange,
        eta,
        varianceType,
        solver,
        consistency);
  }

  public SchedulerConfig withTimestepSpacing(TimestepSpacing spacing) {
    return new SchedulerConfig(
        noise,
        predictionType,
        spacing,
        stepsOffset,
        karrasSigmas,
        finalSigma,
        setAlphaToOne,
        clipSample,
        clipSampleRange,
        eta,
        varianceType,
        solver,
        consistency);
  }

  public SchedulerConfig withKarrasSigmas(boolean karras) {
    return new SchedulerConfig(
        noise,
        predictionType,
        timestepSpacing,
        stepsOffset,
        karras,
        finalSigma,
        setAlphaToOne,
        clipSample,
        clipSampleRange,
        eta,
        varianceType,
        solver,
        consistency);
  }

  public SchedulerConfig withEta(double newEta) {
    return new SchedulerConfig(
        noise,
        predictionType,
        timestepSpacing,
        stepsOffset,
        karrasSigmas,
        finalSigma,
        setAlphaToOne,
        clipSample,
        clipSampleRange,
        newEta,
        varianceType,
        solver,
        consistency);
  }

  public SchedulerConfig withConsistency(Consistency newConsistency) {
    return new SchedulerConfig(
        noise,
        predictionType,
        timestepSpacing,
        stepsOffset,
        karrasSigmas,
        finalSigma,
        setAlphaToOne,
        clipSample,
        clipSampleRange,
        eta,
        varianceType,
        solver,
        newConsistency);
  }
}
