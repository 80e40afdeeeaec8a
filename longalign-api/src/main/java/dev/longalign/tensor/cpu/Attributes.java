package dev.longalign.tensor.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.Activation;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.dnnl.dnnl_post_ops;
import org.bytedeco.dnnl.dnnl_primitive_attr;

/**
 * Attributes of a primitive: a scratchpad of ours, and the operations fused behind it in the order
 * of the calls.
 */
final class Attributes implements AutoCloseable {
  private final dnnl_primitive_attr attr = new dnnl_primitive_attr();
  private final dnnl_post_ops postOps = new dnnl_post_ops();
  private final List<Integer> argumentNames = new ArrayList<>();
  private final List<Layout> argumentLayouts = new ArrayList<>();
  private int count;

  Attributes() {
    OneDnn.check(dnnl_primitive_attr_create(attr), "attributes");
    OneDnn.check(
        dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user),
        "scratchpad mode");
    OneDnn.check(dnnl_post_ops_create(postOps), "post-operations");
  }

  Attributes activation(Activation activation) {
    return switch (activation) {
      case NONE -> this;
      case SILU -> eltwise(dnnl_eltwise_swish, 1, 0);
      case GELU -> eltwise(dnnl_eltwise_gelu_erf, 0, 0);
    };
  }

  /** Adds another tensor, which becomes one more argument of the primitive. */
  Attributes add(Layout other) {
    return binary(dnnl_binary_add, other);
  }

  /** Multiplies by another tensor, which becomes one more argument of the primitive. */
  Attributes multiply(Layout other) {
    return binary(dnnl_binary_mul, other);
  }

  /** Adds what the destination holds already. */
  Attributes accumulate() {
    OneDnn.check(dnnl_post_ops_append_sum(postOps, 1, 0, dnnl_data_type_undef), "post-operation");
    count++;
    return this;
  }

  /** Scales an argument by one f32 number that is given anew at every execution. */
  Attributes runtimeScale(int argument, Layout scalar) {
    OneDnn.check(dnnl_primitive_attr_set_scales_mask(attr, argument, 0), "scales");
    argumentNames.add(DNNL_ARG_ATTR_SCALES | argument);
    argumentLayouts.add(scalar);
    return this;
  }

  private Attributes eltwise(int kind, float alpha, float beta) {
    OneDnn.check(dnnl_post_ops_append_eltwise(postOps, kind, alpha, beta), "post-operation");
    count++;
    return this;
  }

  private Attributes binary(int kind, Layout other) {
    OneDnn.check(dnnl_post_ops_append_binary(postOps, kind, other.descriptor()), "post-operation");
    argumentNames.add(DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE * (count + 1) | DNNL_ARG_SRC_1);
    argumentLayouts.add(other);
    count++;
    return this;
  }

  /** Hands everything to oneDNN; call it last. */
  dnnl_primitive_attr build() {
    OneDnn.check(dnnl_primitive_attr_set_post_ops(attr, postOps), "post-operations");
    return attr;
  }

  List<Integer> argumentNames() {
    return argumentNames;
  }

  List<Layout> argumentLayouts() {
    return argumentLayouts;
  }

  @Override
  public void close() {
    dnnl_post_ops_destroy(postOps);
    dnnl_primitive_attr_destroy(attr);
  }
}
