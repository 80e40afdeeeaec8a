package dev.longalign.model;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the name of a tensor in a LoRA file says. Understood are the names of kohya's scripts
 * ({@code lora_unet_..._to_q.lora_down.weight}), of PEFT ({@code
 * base_model.model....to_q.lora_A.weight}), and of diffusers, new ({@code
 * unet....to_q.lora_A.weight}), middle ({@code unet....to_q.lora.down.weight}) and old ({@code
 * ....attn1.processor.to_q_lora.down.weight}).
 *
 * @param module the layer's path; with underscores for dots if it starts with {@link #KOHYA}
 */
record LoraKey(String module, Part part) {
  static final String KOHYA = "lora_unet_";

  enum Part {
    UP,
    DOWN,
    /** Between them, for the kernel of a convolution whose factors are 1 x 1. */
    MID,
    ALPHA
  }

  private static final Pattern FACTOR =
      Pattern.compile(
          "(.+?)([._])lora(?:_linear_layer)?[._](up|down|mid|A|B)(?:\\.[^.]+)?\\.weight");
  private static final Pattern ALPHA = Pattern.compile("(.+?)(?:([._])lora)?\\.alpha");
  private static final Pattern TEXT_ENCODER =
      Pattern.compile(
          "lora_te\\d?[._].*|(?:base_model\\.model\\.)?(?:text_encoder(?:_\\d)?|text_model)\\..*");

  static boolean isTextEncoder(String name) {
    return TEXT_ENCODER.matcher(name).matches();
  }

  /** Null if the name is none of a LoRA. */
  static LoraKey of(String name) {
    Matcher factor = FACTOR.matcher(name);
    if (factor.matches()) {
      Part part =
          switch (factor.group(3)) {
            case "up", "B" -> Part.UP;
            case "mid" -> Part.MID;
            default -> Part.DOWN;
          };
      return new LoraKey(module(factor.group(1), factor.group(2)), part);
    }
    Matcher alpha = ALPHA.matcher(name);
    return alpha.matches() ? new LoraKey(module(alpha.group(1), alpha.group(2)), Part.ALPHA) : null;
  }

  private static String module(String prefix, String separator) {
    String module = prefix;
    for (String outer : new String[] {"base_model.model.", "unet."}) {
      module = module.startsWith(outer) ? module.substring(outer.length()) : module;
    }
    module = module.replace(".processor.", ".");
    // Old diffusers files name the attention's processor, which knows to_out.0 as to_out.
    return "_".equals(separator) && module.endsWith(".to_out") ? module + ".0" : module;
  }
}
