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
    Map<String, Share> operations) {

  /** One operation's part of a run. */
  public record Share(long calls, double seconds, double gflops) {}
}
