package dev.longalign.tensor;

/**
 * What {@link Backend#reweight} makes of texts T [N, D].
 *
 * @param direction V, f32 [D]
 * @param eta f32 [N]: how much of each text is common to all
 * @param texts T' [N, D], in the type of T
 */
public record ReweightedTexts(Tensor direction, Tensor eta, Tensor texts) {}
