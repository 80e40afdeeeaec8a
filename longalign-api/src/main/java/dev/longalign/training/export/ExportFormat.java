package dev.longalign.training.export;

import dev.longalign.model.LoraFormat;
import java.util.Optional;

/** What {@link Exports} can write. */
public enum ExportFormat {
  /** The LoRA as the bare list of the reference, in half precision: {@code <name>.pt}. */
  LONGALIGN(LoraFormat.LONGALIGN),

  /** The LoRA with kohya's names: {@code <name>_kohya.safetensors}. */
  KOHYA(LoraFormat.KOHYA),

  /** The LoRA as PEFT has it: {@code adapter_model.safetensors} and {@code adapter_config.json}. */
  PEFT(LoraFormat.PEFT),

  /** The LoRA as diffusers has it: {@code pytorch_lora_weights.safetensors}. */
  DIFFUSERS(LoraFormat.DIFFUSERS),

  /**
   * A diffusers directory with the LoRA, and those of the base, merged into the UNet: {@code
   * merged/}, or the export's directory itself if nothing else is in it.
   */
  MERGED(null);

  private final LoraFormat lora;

  ExportFormat(LoraFormat lora) {
    this.lora = lora;
  }

  /** How the LoRA is laid out; empty if it is merged. */
  public Optional<LoraFormat> lora() {
    return Optional.ofNullable(lora);
  }

  /** The file's name in an export. */
  String file(String name) {
    return switch (this) {
      case LONGALIGN -> name + ".pt";
      case KOHYA -> name + "_kohya.safetensors";
      case PEFT -> "adapter_model.safetensors";
      case DIFFUSERS -> "pytorch_lora_weights.safetensors";
      case MERGED -> "merged";
    };
  }
}
