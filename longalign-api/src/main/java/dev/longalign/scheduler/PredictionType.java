package dev.longalign.scheduler;

/** What the network was trained to output, for {@code x = alpha * x0 + sigma * noise}. */
public enum PredictionType {
  /** The noise. */
  EPSILON {
    @Override
    Mix original(double alpha, double sigma) {
      return new Mix(1 / alpha, -sigma / alpha);
    }

    @Override
    Mix noise(double alpha, double sigma) {
      return new Mix(0, 1);
    }
  },
  /** The velocity {@code alpha * noise - sigma * x0}. */
  V_PREDICTION {
    @Override
    Mix original(double alpha, double sigma) {
      return new Mix(alpha, -sigma);
    }

    @Override
    Mix noise(double alpha, double sigma) {
      return new Mix(sigma, alpha);
    }
  },
  /** The clean sample x0. */
  SAMPLE {
    @Override
    Mix original(double alpha, double sigma) {
      return new Mix(0, 1);
    }

    @Override
    Mix noise(double alpha, double sigma) {
      return new Mix(1 / sigma, -alpha / sigma);
    }
  };

  /** {@code sample * x + output * networkOutput}. */
  record Mix(double sample, double output) {}

  /** x0 from the noisy sample and the output. */
  abstract Mix original(double alpha, double sigma);

  /** The noise from the noisy sample and the output. */
  abstract Mix noise(double alpha, double sigma);
}
