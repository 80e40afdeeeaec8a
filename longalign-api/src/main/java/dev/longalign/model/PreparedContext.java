package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.nn.CrossAttention;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.Collection;
import java.util.IdentityHashMap;
import java.util.Map;

/**
 * The UNet's context as its cross-attention layers see it: keys and values, which stay the same
 * from the first sampling step to the last. Lives as long as the scope that was open when it was
 * prepared.
 */
public final class PreparedContext {
  private final Map<CrossAttention, CrossAttention.KeyValue> keyValues = new IdentityHashMap<>();
  private final int batch;

  PreparedContext(Collection<CrossAttention> layers, Tensor context) { // [B, S, crossAttentionDim]
    batch = context.dim(0);
    for (CrossAttention layer : layers) {
      keyValues.put(layer, layer.prepare(context));
    }
  }

  private PreparedContext(PreparedContext whole, long from, long to) {
    batch = Math.toIntExact(to - from);
    whole.keyValues.forEach(
        (layer, kv) ->
            keyValues.put(
                layer,
                new CrossAttention.KeyValue(kv.key().rows(from, to), kv.value().rows(from, to))));
  }

  /** The number of captions. */
  public int batch() {
    return batch;
  }

  /** The captions {@code [from, to)}: a view. */
  public PreparedContext rows(long from, long to) {
    return new PreparedContext(this, from, to);
  }

  /** Moves the keys and values into a scope that shall own them, for example a detached one. */
  public PreparedContext adoptInto(TensorScope scope) {
    keyValues
        .values()
        .forEach(
            kv -> {
              scope.adopt(kv.key());
              scope.adopt(kv.value());
            });
    return this;
  }

  /** Moves the keys and values from this scope to the enclosing one. */
  PreparedContext keepIn(TensorScope scope) {
    keyValues
        .values()
        .forEach(
            kv -> {
              scope.keep(kv.key());
              scope.keep(kv.value());
            });
    return this;
  }

  CrossAttention.KeyValue of(CrossAttention layer) {
    CrossAttention.KeyValue keyValue = keyValues.get(layer);
    if (keyValue == null) {
      throw new LongAlignException(
          "UNet context: it was prepared by another UNet; prepare it by the one that runs");
    }
    return keyValue;
  }
}
