package dev.longalign.autograd;

/** A source of randomness that a checkpointed block draws from: it must draw the same again. */
public interface Replayable {
  long state();

  void restore(long state);
}
