package dev.longalign.training;

import dev.longalign.scheduler.PredictionType;
import dev.longalign.tensor.Backend;

/**
 * Training of the tiny model against the reference, for the backends of other modules. Each closes
 * the backend and fails if it still holds memory.
 *
 * <p>Losses must agree to 1e-5, gradients to 1e-3 of the largest of their tensor, norms to 1e-4
 * (one step of stage 1) or 1e-3, parameters to 1e-5: f32 sums of another order change the last
 * digits of a gradient, and AdamW's first steps have the size of the learning rate whatever the
 * gradient's.
 */
public final class TrainingGolden {
  private TrainingGolden() {}

  /** One step of stage 1: {@code one_step}, or {@code one_step_dropout} with recorded masks. */
  public static void alignStep(Backend backend, String name) {
    AlignGoldenTest.oneStep(backend, name);
  }

  /**
   * Five steps of stage 1 on smaller latents: {@code lr_3e-5} or {@code lr_1e-3}. Parameters may be
   * twice as far off as the reference's f32 is from its f64: a device adds in another order.
   */
  public static void alignSteps(Backend backend, String run) {
    AlignGoldenTest.fiveSteps(backend, run, false, 2);
  }

  /** One step of stage 2, with its teacher. */
  public static void lcmStep(Backend backend, PredictionType type) {
    LcmGoldenTest.oneStep(backend, type);
  }

  /**
   * One step of stage 3 ({@code reward}) or 4 ({@code reward_lcm}), from noise through the
   * preference model and back. Needs a provider of preference models.
   */
  public static void rewardStep(Backend backend, String name) {
    RewardGolden.oneStep(backend, name);
  }

  /** Of that, the first step of sampling, for the first picture: without a preference model. */
  public static void rewardSampling(Backend backend, String name) {
    RewardGolden.firstSampling(backend, name);
  }

  /**
   * The same step on a 256th of the latents, where there are no stored values, against the CPU. For
   * devices that are too slow for the whole one. Needs a provider of preference models.
   */
  public static void smallRewardStep(Backend backend, String name) {
    RewardGolden.smallStep(backend, name);
  }
}
