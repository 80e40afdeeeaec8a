package dev.longalign.preference;

import dev.longalign.tensor.Device;
import java.nio.file.Path;

/**
 * Opens preference models; found by {@link java.util.ServiceLoader} (the module longalign-onnx has
 * one). Errors name the file, what was expected and what was found.
 */
public interface PreferenceProvider {

  /**
   * A provider whose models run on that device, if they can: one that cannot logs why and runs them
   * on the CPU.
   */
  default PreferenceProvider on(Device device) {
    return this;
  }

  /**
   * @param model a directory or a file
   * @param tokenizer a directory with CLIP's tokenizer
   * @param threads used by one call; 0 for one per core
   */
  PreferenceModel preferenceModel(Path model, Path tokenizer, int threads);
}
