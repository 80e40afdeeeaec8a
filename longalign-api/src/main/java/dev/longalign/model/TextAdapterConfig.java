package dev.longalign.model;

import dev.longalign.io.Config;

/**
 * {@code config.json} of LaVi-Bridge's TextAdapter. For T5-large and Stable Diffusion 1.5: 1024,
 * 1280, 768.
 */
public record TextAdapterConfig(int inDim, int intDim, int outDim) {
  public static TextAdapterConfig of(Config config) {
    for (String key : new String[] {"in_dim", "int_dim", "out_dim"}) {
      if (config.getInt(key) < 1) {
        throw config.refusal(key, "a positive number");
      }
    }
    return new TextAdapterConfig(
        config.getInt("in_dim"), config.getInt("int_dim"), config.getInt("out_dim"));
  }
}
