package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.data.FeatureExample;
import dev.longalign.io.StoredTensor;
import dev.longalign.random.NoiseSource;
import dev.longalign.random.RandomTensors;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.List;

/**
 * Reads features that were computed before: {@value #LATENTS} [h, w, C], scaled, or {@value
 * #MOMENTS} [h, w, 2 C] (mean, then standard deviation of the scaled latents) to sample from at
 * every step; {@value #CLIP} [L, D] and {@value #T5} [L, d].
 */
public final class FeatureEncoder implements ExampleEncoder<FeatureExample> {
  public static final String LATENTS = "latents";
  public static final String MOMENTS = "moments";
  public static final String CLIP = "clip";
  public static final String T5 = "t5";

  private final Backend backend;
  private final FeatureExample empty;

  /**
   * @param empty the features of the empty caption: {@value #CLIP} and {@value #T5}
   */
  public FeatureEncoder(Backend backend, FeatureExample empty) {
    this.backend = backend;
    this.empty = empty;
  }

  @Override
  public List<String> ids(List<FeatureExample> examples) {
    return examples.stream().map(FeatureExample::id).toList();
  }

  @Override
  public List<String> captions(List<FeatureExample> examples) {
    return examples.stream().map(FeatureExample::caption).toList();
  }

  @Override
  public Tensor latents(List<FeatureExample> examples, NoiseSource noise) {
    if (!examples.get(0).tensors().containsKey(MOMENTS)) {
      return stack(examples, LATENTS);
    }
    return sample(backend, stack(examples, MOMENTS), noise);
  }

  /** One draw from moments [B, h, w, 2 C]: [B, h, w, C]. */
  static Tensor sample(Backend backend, Tensor moments, NoiseSource noise) {
    long channels = moments.shape().dim(3) / 2;
    Tensor mean = moments.slice(3, 0, channels);
    Tensor deviation = moments.slice(3, channels, 2 * channels);
    return mean.add(deviation.multiply(RandomTensors.randn(backend, noise, mean.shape())));
  }

  @Override
  public Texts texts(List<FeatureExample> examples) {
    return new Texts(stack(examples, CLIP), stack(examples, T5));
  }

  @Override
  public Texts emptyText() {
    return texts(List.of(empty));
  }

  private Tensor stack(List<FeatureExample> examples, String name) {
    StoredTensor first = examples.get(0).tensor(name);
    int size = Math.toIntExact(first.shape().size());
    float[] values = new float[Math.multiplyExact(size, examples.size())];
    for (int i = 0; i < examples.size(); i++) {
      StoredTensor one = examples.get(i).tensor(name);
      if (!one.shape().equals(first.shape())) {
        throw new LongAlignException(
            examples.get(i).id()
                + ": expected "
                + name
                + " "
                + first.shape()
                + " as in the rest of the batch, found "
                + one.shape());
      }
      System.arraycopy(one.toFloats(), 0, values, i * size, size);
    }
    long[] dims = new long[first.shape().rank() + 1];
    dims[0] = examples.size();
    System.arraycopy(first.shape().toArray(), 0, dims, 1, dims.length - 1);
    return Tensor.of(backend, Shape.of(dims), values);
  }
}
