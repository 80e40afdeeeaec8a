package dev.longalign.training;

import java.util.Arrays;
import java.util.Optional;

/** The stages of LongAlign's training, in their order. */
public enum Stage {
  /** LoRA and text adapter learn long captions (section 3.1). */
  ALIGN("align", "lora_vis.pt"),
  /** A LoRA distils guided sampling into few steps. */
  LCM("lcm", "lora_lcm.pt"),
  /** A LoRA follows the gradient of a preference model through guided sampling (section 3.3). */
  REWARD("reward", "lora_reward.pt"),
  /** The same through the four steps of a distilled model. */
  REWARD_LCM("reward-lcm", "lora_reward_lcm.pt");

  private final String key;
  private final String loraFile;

  Stage(String key, String loraFile) {
    this.key = key;
    this.loraFile = loraFile;
  }

  /** As commands, configs and checkpoints write it. */
  public String key() {
    return key;
  }

  /** The name of its LoRA in an export. */
  public String loraFile() {
    return loraFile;
  }

  /** Whether a preference model is asked. */
  public boolean rewarded() {
    return this == REWARD || this == REWARD_LCM;
  }

  /** The stage of a {@link #key}. */
  public static Optional<Stage> of(String key) {
    return Arrays.stream(values()).filter(stage -> stage.key.equals(key)).findFirst();
  }
}
