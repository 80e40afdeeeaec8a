package dev.longalign.io;

import dev.longalign.LongAlignException;
import dev.longalign.io.PickleMachine.Dict;
import dev.longalign.io.PickleMachine.Inert;
import dev.longalign.io.PickleMachine.Named;
import dev.longalign.io.PickleMachine.PySet;
import dev.longalign.io.PickleMachine.Tuple;
import dev.longalign.io.TorchGlobals.TensorRef;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Turns what a pickle built into plain Java values, and names every tensor in it by its path. A
 * pickle can contain itself, and a small one can stand for a huge tree; depth and number of nodes
 * are bounded.
 */
final class TorchTree {
  private static final int MAX_DEPTH = 64;
  private static final int MAX_NODES = 500_000;

  /** A training's history may be long; only the first are kept. */
  private static final int MAX_SCALARS = 10_000;

  private static final long MAX_NAME_CHARS = 50_000_000;

  private final String source;
  private final TorchStorages storages;
  private final Map<String, StoredTensor> tensors = new LinkedHashMap<>();
  private final Map<String, String> unsupported = new LinkedHashMap<>();
  private final Map<String, String> scalars = new LinkedHashMap<>();
  private final Object root;
  private int nodes;
  private long nameChars;

  TorchTree(String source, TorchStorages storages, Object pickled) {
    this.source = source;
    this.storages = storages;
    if (pickled instanceof Inert || pickled instanceof Named || pickled instanceof PySet) {
      throw refusal(
          "it holds "
              + (pickled instanceof PySet ? "a set" : "the object " + text(pickled))
              + ", expected tensors; nothing was executed. "
              + TorchGlobals.REMEDY);
    }
    // A file that is one tensor reads as a list of one.
    this.root = pickled instanceof TensorRef ? value("0", pickled, 0) : value("", pickled, 0);
  }

  Object root() {
    return root;
  }

  Map<String, StoredTensor> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  /** By path, the torch type of tensors that cannot be read. */
  Map<String, String> unsupported() {
    return Collections.unmodifiableMap(unsupported);
  }

  Set<String> names() {
    if (unsupported.isEmpty()) {
      return Collections.unmodifiableSet(tensors.keySet());
    }
    Set<String> names = new LinkedHashSet<>(tensors.keySet());
    names.addAll(unsupported.keySet());
    return Collections.unmodifiableSet(names);
  }

  Map<String, String> scalars() {
    return Collections.unmodifiableMap(scalars);
  }

  private Object value(String path, Object node, int depth) {
    if (depth > MAX_DEPTH || ++nodes > MAX_NODES) {
      throw refusal(
          "its values nest deeper than " + MAX_DEPTH + " levels or are more than " + MAX_NODES);
    }
    if (node instanceof TensorRef view && view.dtype() == null) {
      unsupported.put(path, view.type().name());
      return view.type().name();
    } else if (node instanceof TensorRef view) {
      StoredTensor tensor = storages.tensor(path, view);
      if (tensors.put(path, tensor) != null) {
        throw refusal("two tensors are named '" + Names.printable(path) + "'");
      }
      return tensor;
    } else if (node instanceof Dict dict) {
      Map<Object, Object> map = new LinkedHashMap<>();
      dict.entries.forEach(
          (key, item) ->
              map.put(
                  key instanceof Named || key instanceof Inert ? text(key) : key,
                  value(child(path, name(key)), item, depth + 1)));
      return Collections.unmodifiableMap(map);
    } else if (node instanceof List<?> list) {
      return items(path, list, depth);
    } else if (node instanceof Tuple tuple) {
      return items(path, Arrays.asList(tuple.items()), depth);
    } else if (node instanceof PySet set) {
      return items(path, set.items(), depth);
    } else if (node == null
        || node instanceof String
        || node instanceof Number
        || node instanceof Boolean) {
      if (node != null && scalars.size() < MAX_SCALARS) {
        scalars.put(path, node.toString());
      }
      return node;
    } else if (node instanceof byte[] bytes) {
      return ByteBuffer.wrap(bytes).asReadOnlyBuffer(); // shared: a pickle may name it often
    }
    return text(node); // a class, an object of one, a dtype
  }

  private static String text(Object node) {
    return Names.printable(node instanceof Named named ? named.name() : node.toString());
  }

  private List<Object> items(String path, List<?> list, int depth) {
    List<Object> values = new ArrayList<>();
    for (int i = 0; i < list.size(); i++) {
      values.add(value(child(path, Integer.toString(i)), list.get(i), depth + 1));
    }
    return Collections.unmodifiableList(values);
  }

  private static String name(Object key) {
    return key instanceof Named || key instanceof Inert ? text(key) : String.valueOf(key);
  }

  private String child(String path, String name) {
    nameChars += path.length() + name.length() + 1;
    if (nameChars > MAX_NAME_CHARS) {
      throw refusal("the names of its values take more than " + MAX_NAME_CHARS + " characters");
    }
    return path.isEmpty() ? name : path + "." + name;
  }

  private LongAlignException refusal(String reason) {
    return new LongAlignException(source + ": not a readable torch file: " + reason);
  }
}
