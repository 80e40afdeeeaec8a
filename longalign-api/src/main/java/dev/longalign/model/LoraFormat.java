package dev.longalign.model;

/** How files of a {@link Lora} are laid out; {@link Lora#read} knows them all. */
public enum LoraFormat {
  /**
   * This method's own: a torch file with the bare list [up, down, up, down, ...] of the layers that
   * the reference adapts, in the order in which it walks the UNet. No names, no alpha.
   */
  LONGALIGN,

  /**
   * Kohya's scripts, read by ComfyUI and other programs for pictures: {@code
   * lora_unet_<path_with_underscores>.lora_down.weight}, {@code .lora_up.weight} and {@code
   * .alpha}.
   */
  KOHYA,

  /**
   * PEFT: {@code base_model.model.<path>.lora_A.weight} and {@code .lora_B.weight} in {@code
   * adapter_model.safetensors}, rank and alpha in {@code adapter_config.json} beside it.
   */
  PEFT,

  /**
   * Diffusers: {@code unet.<path>.lora_A.weight} and {@code .lora_B.weight}, rank and alpha in the
   * metadata.
   */
  DIFFUSERS
}
