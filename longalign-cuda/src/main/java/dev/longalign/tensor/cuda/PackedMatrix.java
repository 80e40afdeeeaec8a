package dev.longalign.tensor.cuda;

/**
 * What the product kernels multiply with.
 *
 * @param memory that both addresses are from
 * @param weights address of [rows][pitch] elements: [out][taps][channels], padded with zeros
 * @param bias address of f32 [rows], or 0
 * @param rows outputs; of GEGLU twice as many, hidden and gate alternating
 * @param columns of a row that count
 * @param pitch columns and padding, a multiple of 8
 * @param gated whether rows are pairs of hidden and gate
 */
record PackedMatrix(
    CudaMemory memory, long weights, long bias, int rows, int columns, int pitch, boolean gated) {

  void release() {
    memory.free(weights);
    if (bias != 0) {
      memory.free(bias);
    }
  }
}
