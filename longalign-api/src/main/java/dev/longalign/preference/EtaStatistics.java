package dev.longalign.preference;

import dev.longalign.LongAlignException;
import java.util.List;
import org.apache.commons.math3.stat.correlation.PearsonsCorrelation;
import org.apache.commons.math3.stat.correlation.SpearmansCorrelation;
import org.apache.commons.math3.stat.descriptive.DescriptiveStatistics;

/**
 * Statistics of numbers over many captions (paper, figures 2b and 2c).
 *
 * @param standardDeviation unbiased; 0 for a single number
 */
public record EtaStatistics(
    long count,
    double mean,
    double standardDeviation,
    double min,
    double quartile1,
    double median,
    double quartile3,
    double max) {

  public static EtaStatistics of(double[] values) {
    if (values.length == 0) {
      throw new LongAlignException("statistics: expected at least one number, found none");
    }
    DescriptiveStatistics all = new DescriptiveStatistics(values);
    return new EtaStatistics(
        all.getN(),
        all.getMean(),
        all.getStandardDeviation(),
        all.getMin(),
        all.getPercentile(25),
        all.getPercentile(50),
        all.getPercentile(75),
        all.getMax());
  }

  /**
   * How two numbers go together over pictures.
   *
   * @param pearson linear, from -1 to 1; NaN if one of them does not vary
   * @param spearman of the ranks
   */
  public record Correlation(double pearson, double spearman) {

    /**
     * @throws LongAlignException if there are fewer than two pairs
     */
    public static Correlation of(double[] x, double[] y) {
      if (x.length != y.length || x.length < 2) {
        throw new LongAlignException(
            "correlation: expected at least two pairs, found " + x.length + " and " + y.length);
      }
      return new Correlation(
          new PearsonsCorrelation().correlation(x, y),
          new SpearmansCorrelation().correlation(x, y));
    }
  }

  /**
   * @param edges of the bins, one more than there are
   * @param counts in each bin; the last bin has its right edge inside
   */
  public record Histogram(List<Double> edges, List<Integer> counts) {

    /** Equal bins from the least to the greatest number. */
    public static Histogram of(double[] values, int bins) {
      DescriptiveStatistics all = new DescriptiveStatistics(values);
      double low = all.getMin();
      double width = (all.getMax() - low) / bins;
      Integer[] counts = new Integer[bins];
      java.util.Arrays.fill(counts, 0);
      for (double value : values) {
        counts[width == 0 ? 0 : Math.min(bins - 1, (int) ((value - low) / width))]++;
      }
      Double[] edges = new Double[bins + 1];
      for (int i = 0; i <= bins; i++) {
        edges[i] = i == bins ? all.getMax() : low + i * width;
      }
      return new Histogram(List.of(edges), List.of(counts));
    }
  }
}
