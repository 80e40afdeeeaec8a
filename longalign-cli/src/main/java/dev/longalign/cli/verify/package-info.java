/**
 * Compares this implementation with recorded inputs and outputs of the reference implementation.
 * Names, shapes, prompts, timesteps and configs are read from the recording; nothing is known of a
 * particular one.
 */
package dev.longalign.cli.verify;
