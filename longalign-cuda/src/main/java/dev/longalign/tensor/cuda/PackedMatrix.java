package dev.longalign.tensor.cuda;

import java.util.Arrays;

/** What the product kernels multiply with. */
final class PackedMatrix {
  /** Memory that one or several matrices are in; the last one frees it. */
  private static final class Block {
    private final CudaMemory memory;
    private final long address;
    private int matrices;

    private Block(CudaMemory memory, long address, int matrices) {
      this.memory = memory;
      this.address = address;
      this.matrices = matrices;
    }

    private synchronized void release() {
      matrices--;
      if (matrices == 0) {
        memory.free(address);
      }
    }
  }

  private final CudaMemory memory;
  private final long bias;
  private final int rows;
  private final int columns;
  private final int pitch;
  private final boolean gated;
  private Block block;
  private long weights;

  /**
   * @param memory that both addresses are from
   * @param weights address of [rows][pitch] elements: [out][taps][channels], padded with zeros
   * @param bias address of f32 [rows], or 0
   * @param rows outputs; of GEGLU twice as many, hidden and gate alternating
   * @param columns of a row that count
   * @param pitch columns and padding, a multiple of 8
   * @param gated whether rows are pairs of hidden and gate
   */
  PackedMatrix(
      CudaMemory memory, long weights, long bias, int rows, int columns, int pitch, boolean gated) {
    this.memory = memory;
    this.block = new Block(memory, weights, 1);
    this.weights = weights;
    this.bias = bias;
    this.rows = rows;
    this.columns = columns;
    this.pitch = pitch;
    this.gated = gated;
  }

  /** Moves matrices, whose elements have been copied there, to one block, {@code apart} bytes. */
  static void move(PackedMatrix[] matrices, long address, long apart) {
    Block block = new Block(matrices[0].memory, address, matrices.length);
    for (int i = 0; i < matrices.length; i++) {
      matrices[i].block.release();
      matrices[i].block = block;
      matrices[i].weights = address + i * apart;
    }
  }

  /** Whether all have the same sizes and are nothing but products. */
  static boolean areAlike(PackedMatrix[] matrices) {
    PackedMatrix first = matrices[0];
    return Arrays.stream(matrices)
        .allMatch(
            m ->
                m.rows == first.rows
                    && m.columns == first.columns
                    && m.pitch == first.pitch
                    && m.bias == 0
                    && !m.gated);
  }

  /** Bytes from each to the next, as {@link #move} has placed them; 0 if it has not. */
  static long apart(PackedMatrix[] matrices) {
    long apart = matrices.length > 1 ? matrices[1].weights - matrices[0].weights : 0;
    for (int i = 0; i < matrices.length; i++) {
      if (matrices[i].block != matrices[0].block
          || matrices[i].weights != matrices[0].weights + i * apart) {
        return 0;
      }
    }
    return apart;
  }

  long weights() {
    return weights;
  }

  long bias() {
    return bias;
  }

  int rows() {
    return rows;
  }

  int columns() {
    return columns;
  }

  int pitch() {
    return pitch;
  }

  boolean gated() {
    return gated;
  }

  void release() {
    block.release();
    if (bias != 0) {
      memory.free(bias);
    }
  }
}
