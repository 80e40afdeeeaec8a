package dev.longalign.data;

/** Hears of every skipped example once, in order, on the thread that asks for batches. */
@FunctionalInterface
public interface SkipListener {
  /** Should be fast; what it throws stops the loader. */
  void onSkip(Skip skip);
}
