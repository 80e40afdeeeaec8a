package dev.longalign.benchmarks.miniature;

import dev.longalign.EmbeddedModel;
import dev.longalign.LongAlign;
import dev.longalign.LongAlignBuilder;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.TextEncoding;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The embedded base with what was trained for it.
 *
 * @param loras merged in this order
 * @param adapter null for the embedded one
 */
record Model(List<Path> loras, Path adapter) {
  /** Without LoRA. */
  static final Model BASE = new Model(List.of(), null);

  Model {
    loras = List.copyOf(loras);
  }

  /** With the LoRA of stage align that is embedded. */
  static Model embeddedAlign() {
    return BASE.with(EmbeddedModel.directory().resolve("lora_vis.pt"));
  }

  /** With one more LoRA. */
  Model with(Path lora) {
    List<Path> all = new ArrayList<>(loras);
    all.add(lora);
    return new Model(all, adapter);
  }

  /** As a user opens it. */
  LongAlign open(TextEncoding encoding, int threads) {
    LongAlignBuilder builder =
        LongAlign.builder().withoutOwnLora().textEncoding(encoding).threads(threads);
    loras.forEach(builder::lora);
    return adapter == null ? builder.build() : builder.adapter(adapter).build();
  }

  /** For training. */
  ModelFiles files() {
    return ModelFiles.find(
        EmbeddedModel.directory(),
        adapter,
        null,
        loras.stream().map(lora -> new ModelFiles.LoraFile(lora, 1)).toList(),
        false);
  }
}
