package dev.longalign.preference;

import java.nio.file.Path;

/**
 * Opens preference models; found by {@link java.util.ServiceLoader} (the module longalign-onnx has
 * one). Errors name the file, what was expected and what was found.
 */
public interface PreferenceProvider {

  /**
   * @param model a directory or a file
   * @param tokenizer a directory with CLIP's tokenizer
   * @param threads used by one call; 0 for one per core
   */
  PreferenceModel preferenceModel(Path model, Path tokenizer, int threads);
}
