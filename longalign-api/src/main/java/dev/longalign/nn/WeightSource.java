package dev.longalign.nn;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Tensor;
import java.util.List;

/**
 * Where the parameters of a model come from: files, a random generator, or another source with
 * LoRAs merged in.
 */
public interface WeightSource {

  /**
   * Compares what a model declares with what is here.
   *
   * @throws dev.longalign.LongAlignException that lists every wrong shape and every missing or
   *     unexpected name at once
   */
  void check(List<Parameter> declared);

  /** The parameter as f32 in its declared shape, registered with the calling thread's scope. */
  Tensor load(Backend backend, Parameter parameter);
}
