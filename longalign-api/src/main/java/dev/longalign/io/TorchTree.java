package dev.longalign.io;

import dev.longalign.LongAlignException;
import dev.longalign.io.PickleMachine.Dict;
import dev.longalign.io.PickleMachine.Tuple;
import dev.longalign.io.TorchGlobals.TensorRef;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Turns what a pickle built into plain Java values, and names every tensor in it by its path. A
 * pickle can contain itself, and a small one can stand for a huge tree; depth and number of nodes
 * are bounded.
 */
final class TorchTree {
  private static final int MAX_DEPTH = 64;
  private static final int MAX_NODES = 200_000;
  private static final long MAX_NAME_CHARS = 50_000_000;

  private final String source;
  private final TorchStorages storages;
  private final Map<String, StoredTensor> tensors = new LinkedHashMap<>();
  private final Map<String, String> scalars = new LinkedHashMap<>();
  private final Object root;
  private int nodes;
  private long nameChars;

  TorchTree(String source, TorchStorages storages, Object pickled) {
    this.source = source;
    this.storages = storages;
    // A file that is one tensor reads as a list of one.
    this.root = pickled instanceof TensorRef ? value("0", pickled, 0) : value("", pickled, 0);
  }

  Object root() {
    return root;
  }

  Map<String, StoredTensor> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  Map<String, String> scalars() {
    return Collections.unmodifiableMap(scalars);
  }

  private Object value(String path, Object node, int depth) {
    if (depth > MAX_DEPTH || ++nodes > MAX_NODES) {
      throw refusal(
          "its values nest deeper than " + MAX_DEPTH + " levels or are more than " + MAX_NODES);
    }
    if (node instanceof TensorRef view) {
      StoredTensor tensor = storages.tensor(path, view);
      if (tensors.put(path, tensor) != null) {
        throw refusal("two tensors are named '" + Names.printable(path) + "'");
      }
      return tensor;
    } else if (node instanceof Dict dict) {
      Map<Object, Object> map = new LinkedHashMap<>();
      dict.entries.forEach(
          (key, item) -> map.put(key, value(child(path, String.valueOf(key)), item, depth + 1)));
      return Collections.unmodifiableMap(map);
    } else if (node instanceof List<?> list) {
      return items(path, list, depth);
    } else if (node instanceof Tuple tuple) {
      return items(path, Arrays.asList(tuple.items()), depth);
    } else if (node == null
        || node instanceof String
        || node instanceof Number
        || node instanceof Boolean) {
      if (node != null) {
        scalars.put(path, node.toString());
      }
      return node;
    } else if (node instanceof byte[] bytes) {
      return bytes.clone();
    }
    return Names.printable(node.toString()); // a dtype or storage type by itself
  }

  private List<Object> items(String path, List<?> list, int depth) {
    List<Object> values = new ArrayList<>();
    for (int i = 0; i < list.size(); i++) {
      values.add(value(child(path, Integer.toString(i)), list.get(i), depth + 1));
    }
    return Collections.unmodifiableList(values);
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
