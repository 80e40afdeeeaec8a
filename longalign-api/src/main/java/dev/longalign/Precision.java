package dev.longalign;

import dev.longalign.tensor.DType;
import java.util.Locale;

/** What the networks compute in; latents and schedulers stay in f32. */
public enum Precision {
  /** The numbers that PyTorch gives in float32. */
  F32(DType.F32),
  /** Half the memory, about twice the speed where the processor has bfloat16 arithmetic. */
  BF16(DType.BF16);

  private final DType dtype;

  Precision(DType dtype) {
    this.dtype = dtype;
  }

  public DType dtype() {
    return dtype;
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
