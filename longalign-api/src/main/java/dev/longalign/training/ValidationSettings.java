package dev.longalign.training;

import dev.longalign.data.panels.CaptionedScene;
import dev.longalign.data.panels.HeldOut;
import dev.longalign.scheduler.Scheduler;
import java.util.List;

/**
 * The pictures that a run samples on its schedule, each with its number as seed.
 *
 * @param prompts one a picture
 * @param steps of sampling: UniPC, or LCM for the distilled stages
 * @param guidanceScale 1 for none
 */
public record ValidationSettings(List<String> prompts, int steps, float guidanceScale) {
  private static final int PROMPTS = 8;

  public ValidationSettings {
    prompts = List.copyOf(prompts);
  }

  /** Held-out captions of the panels world, for runs on that. */
  static List<String> panels() {
    return HeldOut.longCaptions().stream().limit(PROMPTS).map(CaptionedScene::caption).toList();
  }

  /** What a stage samples with. */
  static Scheduler scheduler(Stage stage) {
    return stage == Stage.LCM || stage == Stage.REWARD_LCM ? Scheduler.LCM : Scheduler.UNIPC;
  }
}
