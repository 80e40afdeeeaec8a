package dev.longalign.onnx;

import dev.longalign.preference.PreferenceModel;
import dev.longalign.preference.PreferenceProvider;
import java.nio.file.Path;

/** Preference models on ONNX Runtime; registered as a service. */
public final class OnnxPreferenceProvider implements PreferenceProvider {

  @Override
  public PreferenceModel preferenceModel(Path model, Path tokenizer, int threads) {
    return OnnxPreferenceModel.open(model, tokenizer, threads);
  }
}
