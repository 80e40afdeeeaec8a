/**
 * The four stages of LongAlign's training, and that of Denscore, on one trainer: an {@link
 * dev.longalign.training.Objective} says what a step computes from examples and random numbers, the
 * {@link dev.longalign.training.Trainer} does everything else: gradients, clipping, AdamW,
 * checkpoints and their exact continuation.
 */
package dev.longalign.training;
