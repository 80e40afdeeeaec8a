package dev.longalign.scheduler;

import dev.longalign.LongAlignException;

/**
 * The samplers on offer. A constant names the method; {@link #start} gives the object that walks
 * along one picture's (or batch's) timesteps:
 *
 * <pre>{@code
 * try (SchedulerRun run = Scheduler.UNIPC.start(SchedulerConfig.read(file, Scheduler.UNIPC), 25)) {
 *   Tensor x = noise.scale(run.initNoiseSigma());
 *   for (int i = 0; i < run.steps(); i++) {
 *     Tensor output = unet.forward(run.scaleModelInput(x, i), run.timestep(i), context);
 *     x = run.step(i, output, x, () -> RandomTensors.randn(backend, generator, shape));
 *   }
 * }
 * }</pre>
 */
public enum Scheduler {
  /** UniPC (arXiv 2302.04867), what LongAlign samples with. */
  UNIPC {
    @Override
    int betweenTimesteps() {
      return MOST_STEPS;
    }

    @Override
    SchedulerRun create(SchedulerConfig config, int steps, int first) {
      return new UniPcRun(config, SigmaGrid.forSolver(config, steps, true), first);
    }
  },
  /**
   * Latent consistency models (arXiv 2310.04378), for a distilled network: few steps, no guidance.
   */
  LCM {
    @Override
    SchedulerRun create(SchedulerConfig config, int steps, int first) {
      return new LcmRun(config, Timesteps.consistency(config, steps, 1), first);
    }

    @Override
    SchedulerRun createPartial(SchedulerConfig config, int steps, double strength) {
      // All steps are done, over the less noisy part of the distilled timesteps.
      return new LcmRun(config, Timesteps.consistency(config, steps, strength), 0);
    }
  },
  /** Denoising diffusion implicit models (arXiv 2010.02502). */
  DDIM {
    @Override
    SchedulerRun create(SchedulerConfig config, int steps, int first) {
      return new DdimRun(config, Timesteps.discrete(config, steps), first);
    }
  },
  /** Denoising diffusion probabilistic models (arXiv 2006.11239). */
  DDPM {
    @Override
    SchedulerRun create(SchedulerConfig config, int steps, int first) {
      return new DdpmRun(config, Timesteps.discrete(config, steps), first);
    }
  },
  /** Euler steps on the probability flow of Karras et al. (arXiv 2206.00364). */
  EULER {
    @Override
    int betweenTimesteps() {
      return MOST_STEPS;
    }

    @Override
    SchedulerRun create(SchedulerConfig config, int steps, int first) {
      return new EulerRun(config, SigmaGrid.forEuler(config, steps), first, false);
    }
  },
  /** Euler steps that remove more noise than asked and add fresh noise back. */
  EULER_ANCESTRAL {
    @Override
    int betweenTimesteps() {
      return MOST_STEPS;
    }

    @Override
    SchedulerRun create(SchedulerConfig config, int steps, int first) {
      return new EulerRun(config, SigmaGrid.forEuler(config, steps), first, true);
    }
  },
  /**
   * DPM-Solver++, multistep, second order unless the config asks for another (arXiv 2211.01095).
   */
  DPMPP_2M {
    @Override
    int betweenTimesteps() {
      return MOST_STEPS;
    }

    @Override
    SchedulerRun create(SchedulerConfig config, int steps, int first) {
      return new DpmSolverRun(config, SigmaGrid.forSolver(config, steps, false), first);
    }
  };

  /**
   * All steps, from pure noise.
   *
   * @param steps 1 to the number of training timesteps, or to 1000 for methods that may step
   *     between these
   */
  public SchedulerRun start(SchedulerConfig config, int steps) {
    return start(config, steps, 1);
  }

  /**
   * From a picture with noise added ({@link SchedulerRun#addNoise}): the last {@code floor(steps *
   * strength)} steps, or for {@link #LCM} all steps from a lower noise level, as diffusers'
   * pipeline of networks with a guidance embedding does.
   *
   * @param strength how much of the picture is replaced: above 0, at most 1
   */
  public SchedulerRun start(SchedulerConfig config, int steps, double strength) {
    check(config, steps, strength);
    return strength == 1 ? create(config, steps, 0) : createPartial(config, steps, strength);
  }

  /** As {@link #start(SchedulerConfig, int, double)}, but the last steps for {@link #LCM} too. */
  public SchedulerRun startLast(SchedulerConfig config, int steps, double strength) {
    check(config, steps, strength);
    return createLast(config, steps, strength);
  }

  private void check(SchedulerConfig config, int steps, double strength) {
    int most = Math.max(config.noise().numTrainTimesteps(), betweenTimesteps());
    if (steps < 1 || steps > most) {
      throw new LongAlignException(this + ": expected 1 to " + most + " steps, found " + steps);
    }
    if (!(strength > 0 && strength <= 1)) {
      throw new LongAlignException(
          this + ": expected a strength above 0 and at most 1, found " + strength);
    }
  }

  /** So many steps at least are possible even where there are fewer training timesteps. */
  int betweenTimesteps() {
    return 0;
  }

  private static final int MOST_STEPS = 1000;

  abstract SchedulerRun create(SchedulerConfig config, int steps, int first);

  SchedulerRun createPartial(SchedulerConfig config, int steps, double strength) {
    return createLast(config, steps, strength);
  }

  private SchedulerRun createLast(SchedulerConfig config, int steps, double strength) {
    int remaining = Math.min((int) (steps * strength), steps);
    if (remaining == 0) {
      throw new LongAlignException(
          this
              + ": strength "
              + strength
              + " leaves none of "
              + steps
              + " steps; raise one of them");
    }
    return create(config, steps, steps - remaining);
  }
}
