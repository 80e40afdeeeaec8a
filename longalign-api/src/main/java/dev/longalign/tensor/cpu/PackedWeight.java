package dev.longalign.tensor.cpu;

import java.util.function.Supplier;

/**
 * The values of a weight. They arrive in torch's order and are moved once, at first use, into the
 * layout that the primitive of that use likes best; uses with other shapes then take them as they
 * are.
 */
final class PackedWeight {
  /** {@link #layoutId()} before the first use has decided the layout. */
  static final int UNDECIDED = -1;

  private final CpuMemory memory;
  private final long bias;
  private Layout layout;
  private long address;
  private int layoutId = UNDECIDED;
  private PackedWeight twin;

  /**
   * @param layout of the values at {@code address}; both are owned from now on
   * @param bias address of f32 values, or 0; owned too
   */
  PackedWeight(CpuMemory memory, Layout layout, long address, long bias) {
    this.memory = memory;
    this.layout = layout;
    this.address = address;
    this.bias = bias;
  }

  /** Address of f32 values, or 0. */
  long bias() {
    return bias;
  }

  /** The values stay in the layout that they have: for a weight that is used once. */
  PackedWeight asItLies(PrimitiveCache cache) {
    layoutId = cache.idOf(layout);
    return this;
  }

  /** Which of the {@linkplain PrimitiveCache#idOf known layouts} the values have. */
  int layoutId() {
    return layoutId;
  }

  Layout layout() {
    return layout;
  }

  /**
   * The address of the values in the layout that the primitive wants; repacks them if they are in
   * another.
   */
  long forPrimitive(Primitive primitive, PrimitiveCache cache) {
    Layout wanted = primitive.weights();
    if (!layout.sameAs(wanted)) {
      long to = memory.allocate(wanted.bytes());
      cache.reorderOnce(layout, address, wanted, to);
      memory.discard(address);
      layout.close();
      layout = wanted.copy();
      address = to;
      layoutId = UNDECIDED;
    }
    if (layoutId == UNDECIDED) {
      layoutId = cache.idOf(layout);
    }
    return address;
  }

  /**
   * The same values for derivatives, which like other layouts: a second copy, made at first use and
   * owned by this weight.
   *
   * @param plain the values of this weight in a plain order
   * @param seenAs the same memory, as the derivative's primitive is to see it
   */
  PackedWeight twin(PrimitiveCache cache, Supplier<Layout> plain, Supplier<Layout> seenAs) {
    if (twin == null) {
      try (Layout order = plain.get()) {
        long copy = memory.allocate(order.bytes());
        cache.reorderOnce(layout, address, order, copy);
        twin = new PackedWeight(memory, seenAs.get(), copy, 0);
      }
    }
    return twin;
  }

  void release() {
    if (twin != null) {
      twin.release();
    }
    memory.discard(address);
    if (bias != 0) {
      memory.discard(bias);
    }
    layout.close();
  }
}
