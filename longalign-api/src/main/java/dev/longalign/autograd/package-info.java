/**
 * Reverse-mode differentiation over any backend: {@link dev.longalign.autograd.AutogradBackend}
 * wraps one and records what leads from a variable; inference runs on the backend itself and never
 * pays. The derivative of every operation is one entry of {@code Derivatives}.
 */
package dev.longalign.autograd;
