package dev.longalign.text;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Device;
import java.nio.file.Path;
import java.util.ServiceLoader;

/**
 * Opens tokenizers and frozen encoders from Hugging Face directories; found by {@link
 * java.util.ServiceLoader} (the module longalign-onnx has one). Errors name the file, what was
 * expected and what was found.
 */
public interface EncoderProvider {

  /**
   * The provider on the class path.
   *
   * @throws LongAlignException if there is none, naming the module to add
   */
  static EncoderProvider find() {
    return ServiceLoader.load(EncoderProvider.class)
        .findFirst()
        .orElseThrow(
            () ->
                new LongAlignException(
                    "no text encoders on the class path; add dev.longalign:longalign-onnx"));
  }

  /**
   * A provider whose encoders run on that device, if they can: one that cannot logs why and runs
   * them on the CPU.
   */
  default EncoderProvider on(Device device) {
    return this;
  }

  /**
   * CLIP's tokenizer as Stable Diffusion uses it (the slow one, behind ftfy's repairs): {@code
   * tokenizer/}.
   */
  Tokenizer clipTokenizer(Path directory);

  /** T5's tokenizer, from {@code tokenizer.json} or {@code spiece.model}. */
  Tokenizer t5Tokenizer(Path directory);

  /** CLIP's text tower: {@code text_encoder/}. */
  TextEncoder clipTextEncoder(Path directory, int threads);

  /** T5's encoder stack. */
  TextEncoder t5Encoder(Path directory, int threads);
}
