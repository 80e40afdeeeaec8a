package dev.longalign.onnx;

import dev.longalign.onnx.tokenizer.ClipTokenizers;
import dev.longalign.onnx.tokenizer.T5Tokenizers;
import dev.longalign.tensor.Device;
import dev.longalign.text.EncoderProvider;
import dev.longalign.text.TextEncoder;
import dev.longalign.text.Tokenizer;
import java.nio.file.Path;

/** Tokenizers of Hugging Face directories and encoders on ONNX Runtime; registered as a service. */
public final class OnnxEncoderProvider implements EncoderProvider {
  private final Device device;

  public OnnxEncoderProvider() {
    this(Device.cpu());
  }

  private OnnxEncoderProvider(Device device) {
    this.device = device;
  }

  @Override
  public EncoderProvider on(Device where) {
    return new OnnxEncoderProvider(OnnxRuntime.usable(where, "text encoders"));
  }

  @Override
  public Tokenizer clipTokenizer(Path directory) {
    return ClipTokenizers.openSlow(directory);
  }

  @Override
  public Tokenizer t5Tokenizer(Path directory) {
    return T5Tokenizers.open(directory);
  }

  @Override
  public TextEncoder clipTextEncoder(Path directory, int threads) {
    return OnnxTextEncoder.clip(directory, threads, device);
  }

  @Override
  public TextEncoder t5Encoder(Path directory, int threads) {
    return OnnxTextEncoder.t5(directory, threads, device);
  }
}
