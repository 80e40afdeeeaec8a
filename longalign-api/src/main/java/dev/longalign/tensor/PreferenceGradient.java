package dev.longalign.tensor;

/**
 * What {@link Backend#preferenceGradient} finds for pairs of text and picture.
 *
 * @param scores f32 [N]
 * @param gradient of their sum with respect to the pictures' features [N, D], in their type
 */
public record PreferenceGradient(Tensor scores, Tensor gradient) {}
