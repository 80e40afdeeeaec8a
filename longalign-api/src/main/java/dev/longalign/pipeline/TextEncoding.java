package dev.longalign.pipeline;

/** How much of a prompt reaches the UNet, and by which way. */
public enum TextEncoding {
  /** Plain Stable Diffusion: one pass of CLIP, cut at its window of 77 tokens. The baseline. */
  TRUNCATED,
  /** Every segment through CLIP, concatenated to 240 tokens. */
  SEGMENTS,
  /** {@link #SEGMENTS}, and 240 more tokens of T5 through the adapter. */
  LONGALIGN
}
