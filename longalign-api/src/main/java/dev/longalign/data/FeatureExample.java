package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.StoredTensor;
import java.util.Collections;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/**
 * What has been computed once from a {@link TrainingExample}.
 *
 * @param id of the example it comes from
 * @param caption of the example it comes from
 * @param tensors by name: {@code latents}, {@code clip}, ...; one example's, without batch axis
 */
public record FeatureExample(String id, String caption, Map<String, StoredTensor> tensors) {
  public FeatureExample {
    Objects.requireNonNull(id, "id");
    Objects.requireNonNull(caption, "caption");
    tensors = Collections.unmodifiableMap(new TreeMap<>(tensors));
  }

  /**
   * The tensor of a name.
   *
   * @throws LongAlignException if there is none
   */
  public StoredTensor tensor(String name) {
    StoredTensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new LongAlignException(
          id + ": no feature '" + name + "'; there are " + tensors.keySet());
    }
    return tensor;
  }
}
