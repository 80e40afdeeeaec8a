package dev.longalign.pipeline;

/**
 * Whether pictures larger than the autoencoder's own size go through it in overlapping tiles. Tiles
 * need little memory, but each is decoded as a picture of its own: colours and seams differ a
 * little from the whole.
 */
public enum VaeTiling {
  /** Whole while the memory that is free suffices, else in tiles. */
  AUTO,
  /** In tiles, as diffusers does after {@code enable_vae_tiling()}. */
  ALWAYS,
  /** Whole, whatever it takes. */
  NEVER
}
