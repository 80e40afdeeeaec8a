package dev.longalign.tensor.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.DType;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.dnnl.dnnl_exec_arg_t;
import org.bytedeco.dnnl.dnnl_memory;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive;
import org.bytedeco.dnnl.dnnl_primitive_desc;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;

/** A compiled oneDNN primitive with its argument list; executing it only sets addresses. */
final class Primitive implements AutoCloseable {

  /** Creates the primitive descriptor: {@code description} is oneDNN's out parameter. */
  interface Descriptor {
    int create(dnnl_primitive_desc description, Attributes attributes);
  }

  private final dnnl_primitive primitive = new dnnl_primitive();
  private final dnnl_memory[] memories;
  private final dnnl_exec_arg_t arguments;
  private final Layout weights;
  private final String implementation;
  private final long scratchpadBytes;
  private final Address address = new Address();

  private Primitive(
      dnnl_primitive_desc description, Attributes attributes, int[] names, Layout[] layouts) {
    try {
      try (PointerPointer<BytePointer> name = new PointerPointer<>(1)) {
        OneDnn.check(
            dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, name), "query");
        implementation = name.get(BytePointer.class, 0).getString();
      }
      dnnl_memory_desc chosen = dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0);
      if (isAbsent(chosen)) { // a derivative with respect to weights
        chosen = dnnl_primitive_desc_query_md(description, dnnl_query_diff_weights_md, 0);
      }
      weights = chosen == null ? null : Layout.copyOf(chosen, layouts[0].dtype());
      dnnl_memory_desc scratch =
          dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
      try (Layout scratchpad = Layout.copyOf(scratch, DType.U8)) {
        scratchpadBytes = scratchpad.bytes();
        List<Integer> allNames = new ArrayList<>();
        List<Layout> allLayouts = new ArrayList<>();
        for (int i = 0; i < names.length; i++) {
          allNames.add(names[i]);
          allLayouts.add(layouts[i] == null ? weights : layouts[i]);
        }
        allNames.addAll(attributes.argumentNames());
        allLayouts.addAll(attributes.argumentLayouts());
        allNames.add(DNNL_ARG_SCRATCHPAD);
        allLayouts.add(scratchpad);
        OneDnn.check(dnnl_primitive_create(primitive, description), "primitive");
        memories = new dnnl_memory[allNames.size()];
        arguments = new dnnl_exec_arg_t(memories.length);
        for (int i = 0; i < memories.length; i++) {
          memories[i] = new dnnl_memory();
          // DNNL_MEMORY_NONE: the address comes with every execution.
          OneDnn.check(
              dnnl_memory_create(memories[i], allLayouts.get(i).descriptor(), OneDnn.ENGINE, null),
              "memory");
          arguments.position(i).arg(allNames.get(i)).memory(memories[i]);
        }
        arguments.position(0);
      }
    } finally {
      dnnl_primitive_desc_destroy(description);
    }
  }

  /**
   * @param names oneDNN's argument names
   * @param layouts their layouts; null stands for the weights, in the layout that the primitive
   *     chose
   */
  static Primitive create(
      String what, Descriptor descriptor, Attributes attributes, int[] names, Layout... layouts) {
    dnnl_primitive_desc description = new dnnl_primitive_desc();
    OneDnn.check(descriptor.create(description, attributes), what);
    return new Primitive(description, attributes, names, layouts);
  }

  private static boolean isAbsent(dnnl_memory_desc descriptor) {
    return descriptor == null || dnnl_memory_desc_get_size(descriptor) == 0;
  }

  /** The layout that the primitive wants its weights (or returns their gradient) in. */
  Layout weights() {
    return weights;
  }

  /** oneDNN's name of the implementation, for example {@code brgconv:avx512_core_bf16}. */
  String implementation() {
    return implementation;
  }

  /** Whether oneDNN fell back to its slow reference code. */
  boolean isReference() {
    return implementation.startsWith("ref") || implementation.contains(":ref");
  }

  /** Runs it; {@code addresses} in the order of the names, then those of the fused operations. */
  void execute(CpuMemory memory, long... addresses) {
    if (addresses.length != memories.length - 1) {
      throw new IllegalArgumentException(
          addresses.length + " addresses for " + (memories.length - 1) + " arguments");
    }
    for (int i = 0; i < addresses.length; i++) {
      dnnl_memory_set_data_handle(memories[i], address.at(addresses[i]));
    }
    if (scratchpadBytes == 0) {
      OneDnn.check(
          dnnl_primitive_execute(primitive, OneDnn.STREAM, memories.length - 1, arguments),
          implementation);
      return;
    }
    long scratchpad = memory.allocate(scratchpadBytes);
    try {
      dnnl_memory_set_data_handle(memories[memories.length - 1], address.at(scratchpad));
      OneDnn.check(
          dnnl_primitive_execute(primitive, OneDnn.STREAM, memories.length, arguments),
          implementation);
    } finally {
      memory.free(scratchpad);
    }
  }

  @Override
  public void close() {
    for (dnnl_memory memory : memories) {
      dnnl_memory_destroy(memory);
    }
    arguments.close();
    if (weights != null) {
      weights.close();
    }
    dnnl_primitive_destroy(primitive);
  }

  /** A pointer that can be aimed without allocating a new object. */
  private static final class Address extends Pointer {
    Address at(long to) {
      address = to;
      return this;
    }
  }
}
