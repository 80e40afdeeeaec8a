/**
 * The models of Stable Diffusion and LongAlign: the UNet, the autoencoder, the text adapter and
 * LoRAs; and CLIP in training. Each block of a model opens a {@link
 * dev.longalign.tensor.TensorScope} and keeps only its result, so that memory follows the widest
 * block instead of the sum of all.
 */
package dev.longalign.model;
