package dev.longalign.tensor.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * Compiled primitives by shape; the least recently used one goes when there are too many. Not
 * thread-safe: the backend lets one thread at a time in.
 */
final class PrimitiveCache implements AutoCloseable {
  private static final int CAPACITY = 4096;

  private final CpuMemory memory;
  private final List<Layout> knownLayouts = new ArrayList<>();
  private final Map<List<Object>, Primitive> primitives = new LinkedHashMap<>(256, 0.75f, true);

  PrimitiveCache(CpuMemory memory) {
    this.memory = memory;
  }

  /** A number for a layout, equal for equal layouts. */
  int idOf(Layout layout) {
    for (int id = 0; id < knownLayouts.size(); id++) {
      if (knownLayouts.get(id).sameAs(layout)) {
        return id;
      }
    }
    knownLayouts.add(layout.copy());
    return knownLayouts.size() - 1;
  }

  /**
   * The primitive for a use of {@code weight}: with the layout that the weight has already, unless
   * oneDNN has only its reference code for that; then with the layout that oneDNN prefers.
   *
   * @param build makes the primitive for a given layout of the weights, or for any layout if it is
   *     null
   */
  Primitive getFor(PackedWeight weight, List<Object> key, Function<Layout, Primitive> build) {
    List<Object> keyWithLayout = new ArrayList<>(key);
    keyWithLayout.add(weight.layoutId());
    return get(
        keyWithLayout,
        () -> {
          if (weight.layoutId() != PackedWeight.UNDECIDED) {
            Primitive asItLies = build.apply(weight.layout());
            if (!asItLies.isReference()) {
              return asItLies;
            }
            asItLies.close();
          }
          return build.apply(null);
        });
  }

  /** The primitive for {@code key}, built at first use. */
  Primitive get(List<Object> key, Supplier<Primitive> build) {
    Primitive primitive = primitives.get(key);
    if (primitive == null) {
      if (primitives.size() >= CAPACITY) {
        var eldest = primitives.entrySet().iterator();
        eldest.next().getValue().close();
        eldest.remove();
      }
      primitive = build.get();
      primitives.put(key, primitive);
    }
    return primitive;
  }

  /** Copies values from one layout to another, with a primitive that is not kept. */
  void reorderOnce(Layout from, long source, Layout to, long target) {
    try (Primitive reorder = reorder(from, to)) {
      reorder.execute(memory, source, target);
    }
  }

  static Primitive reorder(Layout from, Layout to) {
    try (Attributes attributes = new Attributes()) {
      return Primitive.create(
          "reorder",
          (pd, attr) ->
              dnnl_reorder_primitive_desc_create(
                  pd,
                  from.descriptor(),
                  OneDnn.ENGINE,
                  to.descriptor(),
                  OneDnn.ENGINE,
                  attr.build()),
          attributes,
          new int[] {DNNL_ARG_SRC_0, DNNL_ARG_DST},
          from,
          to);
    }
  }

  @Override
  public void close() {
    primitives.values().forEach(Primitive::close);
    primitives.clear();
    knownLayouts.forEach(Layout::close);
    knownLayouts.clear();
  }
}
