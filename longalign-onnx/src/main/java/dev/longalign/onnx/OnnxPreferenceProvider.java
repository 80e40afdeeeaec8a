package dev.longalign.onnx;

import dev.longalign.preference.PreferenceModel;
import dev.longalign.preference.PreferenceProvider;
import dev.longalign.tensor.Device;
import java.nio.file.Path;

/** Preference models on ONNX Runtime; registered as a service. */
public final class OnnxPreferenceProvider implements PreferenceProvider {
  private final Device device;

  public OnnxPreferenceProvider() {
    this(Device.cpu());
  }

  private OnnxPreferenceProvider(Device device) {
    this.device = device;
  }

  @Override
  public PreferenceProvider on(Device where) {
    return new OnnxPreferenceProvider(OnnxRuntime.usable(where, "preference models"));
  }

  @Override
  public PreferenceModel preferenceModel(Path model, Path tokenizer, int threads) {
    return OnnxPreferenceModel.open(model, tokenizer, threads, device);
  }
}
