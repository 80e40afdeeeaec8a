/**
 * Layers: parameters and forward, nothing else. Activations are NHWC or [B, L, C]; whatever a
 * backend can fuse into a layer (bias, activation, time embedding, residual) is passed to it rather
 * than computed after it. {@link dev.longalign.nn.Weights} is how layers find their parameters by
 * their state-dict names.
 */
package dev.longalign.nn;
