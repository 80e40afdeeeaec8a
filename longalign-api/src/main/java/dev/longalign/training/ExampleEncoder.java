package dev.longalign.training;

import dev.longalign.random.NoiseSource;
import dev.longalign.tensor.Tensor;
import java.util.List;

/**
 * From examples to what the networks in training read. Everything here is frozen.
 *
 * @param <E> an example of the dataset
 */
public interface ExampleEncoder<E> {

  /**
   * Both halves of captions' contexts.
   *
   * @param clip [B, L, D] f32, CLIP's half, finished
   * @param t5 [B, L, d] f32, T5's hidden states, which the adapter reads
   */
  record Texts(Tensor clip, Tensor t5) {}

  /** Names of examples, for messages. */
  List<String> ids(List<E> examples);

  /** The captions. */
  List<String> captions(List<E> examples);

  /**
   * Latents of the examples' pictures, sampled and scaled: [B, h, w, C] f32.
   *
   * @param noise is drawn from once, if latents are sampled
   */
  Tensor latents(List<E> examples, NoiseSource noise);

  /** The examples' captions. */
  Texts texts(List<E> examples);

  /** The empty caption, which dropped ones are replaced by and guidance starts from: B = 1. */
  Texts emptyText();
}
