package dev.longalign.preference;

import dev.longalign.LongAlignException;
import dev.longalign.io.SafetensorsFile;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * The direction V that all captions share (LongAlign, section 3.3): the mean of many captions' text
 * features, normalised. With it a text feature T falls into T_perp + eta V: what concerns this
 * caption, and what it shares with all others and so says nothing about them.
 *
 * @param vector V, of length 1; not copied
 * @param captions how many went into it
 */
public record CommonDirection(float[] vector, long captions) {
  /** omega of the paper: how much of the text-irrelevant part stays. */
  public static final double DEFAULT_OMEGA = 0.3;

  private static final String TENSOR = "common_direction";
  private static final String CAPTIONS = "captions";

  public CommonDirection {
    double length = Vectors.length(vector);
    if (!(Math.abs(length - 1) < 1e-3)) {
      throw new IllegalArgumentException(
          "common direction: expected a vector of length 1, found length " + length);
    }
  }

  /** Sums text features one by one; memory does not grow with the corpus. Not thread-safe. */
  public static final class Accumulator {
    private double[] sum;
    private long count;

    /** Adds the feature of one caption. */
    public Accumulator add(float[] text) {
      if (sum == null) {
        sum = new double[text.length];
      } else if (sum.length != text.length) {
        throw new LongAlignException(
            "caption " + count + ": expected width " + sum.length + ", found " + text.length);
      }
      for (int i = 0; i < text.length; i++) {
        sum[i] += text[i];
      }
      count++;
      return this;
    }

    /** Adds what another one, of another thread or process, has summed. */
    public Accumulator add(Accumulator other) {
      if (other.count > 0) {
        sum = sum == null ? new double[other.sum.length] : sum;
        for (int i = 0; i < sum.length; i++) {
          sum[i] += other.sum[i];
        }
        count += other.count;
      }
      return this;
    }

    public long count() {
      return count;
    }

    /**
     * V of everything added so far.
     *
     * @throws LongAlignException if nothing was added, or it sums to zero
     */
    public CommonDirection direction() {
      if (count == 0) {
        throw new LongAlignException("common direction: expected at least one caption, found none");
      }
      float[] mean = new float[sum.length];
      for (int i = 0; i < mean.length; i++) {
        mean[i] = (float) (sum[i] / count);
      }
      return new CommonDirection(Vectors.normalised(mean, "the mean of the captions"), count);
    }
  }

  /** Of a batch of captions, as the reference does at every call. */
  public static CommonDirection of(Features texts) {
    Accumulator sum = new Accumulator();
    for (int i = 0; i < texts.count(); i++) {
      sum.add(texts.row(i));
    }
    return sum.direction();
  }

  /**
   * Reads what {@link #write} wrote.
   *
   * @throws LongAlignException if the file is missing, damaged or something else
   */
  public static CommonDirection read(Path file) {
    try (TensorFile tensors = SafetensorsFile.open(file)) {
      StoredTensor tensor = tensors.tensor(TENSOR);
      float[] vector = tensor.toFloats();
      if (tensor.shape().rank() != 1 || !(Math.abs(Vectors.length(vector) - 1) < 1e-3)) {
        throw new LongAlignException(
            file
                + ": "
                + TENSOR
                + ": expected a vector of length 1, found "
                + tensor.shape()
                + " of length "
                + Vectors.length(vector)
                + "; make it again with 'longalign eta'");
      }
      String captions = tensors.metadata().getOrDefault(CAPTIONS, "0");
      return new CommonDirection(
          vector, captions.matches("\\d{1,18}") ? Long.parseLong(captions) : 0);
    }
  }

  /** Writes a safetensors file, atomically. */
  public void write(Path file) {
    StoredTensor tensor = StoredTensor.ofFloats(TENSOR, DType.F32, Shape.of(vector.length), vector);
    SafetensorsWriter.write(
        file, List.of(tensor), Map.of("format", "pt", CAPTIONS, Long.toString(captions)));
  }

  /** eta = {@code <T, V>}: how much of the text is common. */
  public double eta(float[] text) {
    return Vectors.dot(text, vector);
  }

  /** T_perp = T - eta V. */
  public float[] relevant(float[] text) {
    return reweighted(text, 0);
  }

  /**
   * T' = T - (1 - omega) eta V; not normalised again.
   *
   * @param omega 1 leaves T as it is, 0 removes all that is common
   */
  public float[] reweighted(float[] text, double omega) {
    return Vectors.plus(text, 1, vector, -(1 - omega) * eta(text));
  }
}
