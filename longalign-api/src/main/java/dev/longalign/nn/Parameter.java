package dev.longalign.nn;

import dev.longalign.tensor.Shape;

/**
 * One tensor of a state dict.
 *
 * @param name the full name, for example {@code conv_in.weight}
 * @param shape as torch stores it
 * @param fanIn inputs of one output, for initialisation; 0 for the scale and shift of a norm
 */
public record Parameter(String name, Shape shape, int fanIn) {}
