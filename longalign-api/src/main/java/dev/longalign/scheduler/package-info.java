/**
 * The noise schedule and the samplers that walk along it. Facts are those of diffusers: the same
 * {@code scheduler_config.json} gives the same timesteps, sigmas and steps.
 */
package dev.longalign.scheduler;
