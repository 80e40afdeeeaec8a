package dev.longalign.cli.bench;

import com.google.gson.annotations.SerializedName;
import java.util.List;
import java.util.Map;

/**
 * What a benchmark found.
 *
 * @param subject model, precision and shape
 * @param backend what computed
 * @param secondsPerStep the median of the runs
 * @param runs seconds of each
 * @param tflopPerStep arithmetic of products and convolutions in one run; null, as the next three,
 *     if it is not known
 * @param gflops reached
 * @param roofGflops reached by the same products and convolutions, bare
 * @param roofRatio gflops / roofGflops
 * @param peakBytes the most native memory held at once, weights included
 * @param operations where the time of one run goes, by operation
 * @param training what a training step has beside; null for others
 */
public record Measurement(
    String subject,
    String backend,
    @SerializedName("seconds_per_step") double secondsPerStep,
    List<Double> runs,
    @SerializedName("tflop_per_step") Double tflopPerStep,
    Double gflops,
    @SerializedName("roof_gflops") Double roofGflops,
    @SerializedName("roof_ratio") Double roofRatio,
    @SerializedName("peak_bytes") long peakBytes,
    Map<String, Share> operations,
    Training training) {

  /** One operation's part of a run. */
  public record Share(long calls, double seconds, double gflops) {}

  /** The same with what a training step has beside. */
  Measurement with(Training newTraining) {
    return new Measurement(
        subject,
        backend,
        secondsPerStep,
        runs,
        tflopPerStep,
        gflops,
        roofGflops,
        roofRatio,
        peakBytes,
        operations,
        newTraining);
  }

  /**
   * What a training step consists of. Arithmetic is that of products and convolutions.
   *
   * @param forwardTflop of the loss
   * @param backwardTflop of the derivatives, without what is computed a second time
   * @param repeatedTflop what is computed a second time: by checkpointed blocks, and by derivatives
   *     that keep less than they need
   * @param parameters that are trained
   * @param floorSeconds what forward and backward would take at the roof, with nothing repeated
   * @param floorRatio seconds per step / floorSeconds
   * @param cpuSeconds of all threads in the last step: what the step costs on a machine that others
   *     use too
   * @param heapPeakBytes the most Java heap used while it was timed
   * @param residentPeakBytes the most memory the process ever had, loading included; null where the
   *     system does not tell
   */
  public record Training(
      @SerializedName("forward_tflop") double forwardTflop,
      @SerializedName("backward_tflop") double backwardTflop,
      @SerializedName("repeated_tflop") double repeatedTflop,
      long parameters,
      @SerializedName("floor_seconds") double floorSeconds,
      @SerializedName("floor_ratio") double floorRatio,
      @SerializedName("cpu_seconds") double cpuSeconds,
      @SerializedName("heap_peak_bytes") long heapPeakBytes,
      @SerializedName("resident_peak_bytes") Long residentPeakBytes) {}
}
