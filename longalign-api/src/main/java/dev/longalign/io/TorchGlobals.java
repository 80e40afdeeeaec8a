package dev.longalign.io;

import dev.longalign.io.PickleMachine.Dict;
import dev.longalign.io.PickleMachine.Inert;
import dev.longalign.io.PickleMachine.Named;
import dev.longalign.io.PickleMachine.PySet;
import dev.longalign.io.PickleMachine.Tuple;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The names of a torch pickle that mean tensors, and what they build. Every other name stands for
 * itself and what is made of it is inert; a few that only an attack needs refuse the file. Python:
 * {@code torch/_utils.py} ({@code _rebuild_tensor_v2} and its relatives), {@code
 * torch/serialization.py} (persistent ids of storages), {@code torch/_weights_only_unpickler.py}.
 */
final class TorchGlobals {
  /**
   * A view may repeat elements of its storage (stride 0), but not blow a small file up without
   * bound.
   */
  private static final long MAX_REPEATED = 1L << 24;

  private static final int MAX_RANK = 64;

  /** What to do about a pickle that holds other things. */
  static final String REMEDY =
      "Save only tensors (torch.save(model.state_dict(), ...)) or use safetensors";

  /** Modules whose functions no side data is made of: a file that names them means harm. */
  private static final Set<String> HARMFUL =
      Set.of(
          "os",
          "posix",
          "nt",
          "sys",
          "subprocess",
          "commands",
          "pty",
          "runpy",
          "code",
          "codeop",
          "importlib",
          "shutil",
          "socket",
          "ctypes",
          "pickle",
          "_pickle",
          "marshal",
          "webbrowser",
          "multiprocessing",
          "threading",
          "asyncio",
          "imp",
          "pip",
          "timeit",
          "bdb",
          "pdb");

  /** What side data may take from Python's own names. */
  private static final Set<String> BUILTINS =
      Set.of(
          "set",
          "frozenset",
          "bytearray",
          "bytes",
          "complex",
          "dict",
          "list",
          "tuple",
          "int",
          "float",
          "bool",
          "str",
          "unicode",
          "long",
          "object",
          "slice",
          "range",
          "xrange",
          "type",
          "Ellipsis",
          "NotImplemented");

  /** The functions whose results matter. */
  enum Callable {
    ORDERED_DICT,
    COUNTER,
    DEFAULT_DICT,
    SET,
    SIZE,
    DEVICE,
    LAYOUT,
    REBUILD_TENSOR,
    REBUILD_TENSOR_V2,
    REBUILD_TENSOR_V3,
    REBUILD_PARAMETER,
    REBUILD_PARAMETER_WITH_STATE,
    REBUILD_FROM_TYPE
  }

  private static final Map<String, Callable> CALLABLES =
      Map.ofEntries(
          Map.entry("collections.OrderedDict", Callable.ORDERED_DICT),
          Map.entry("collections.Counter", Callable.COUNTER),
          Map.entry("collections.defaultdict", Callable.DEFAULT_DICT),
          Map.entry("builtins.set", Callable.SET),
          Map.entry("__builtin__.set", Callable.SET),
          Map.entry("builtins.frozenset", Callable.SET),
          Map.entry("__builtin__.frozenset", Callable.SET),
          Map.entry("torch.Size", Callable.SIZE),
          Map.entry("torch.device", Callable.DEVICE),
          Map.entry("torch.serialization._get_layout", Callable.LAYOUT),
          Map.entry("torch._utils._rebuild_tensor", Callable.REBUILD_TENSOR),
          Map.entry("torch._utils._rebuild_tensor_v2", Callable.REBUILD_TENSOR_V2),
          Map.entry("torch._utils._rebuild_tensor_v3", Callable.REBUILD_TENSOR_V3),
          Map.entry("torch._utils._rebuild_parameter", Callable.REBUILD_PARAMETER),
          Map.entry(
              "torch._utils._rebuild_parameter_with_state", Callable.REBUILD_PARAMETER_WITH_STATE),
          Map.entry("torch._tensor._rebuild_from_type_v2", Callable.REBUILD_FROM_TYPE));

  /**
   * A persistent id: the storage of a key.
   *
   * @param bytes how long the storage claims to be
   */
  record StorageRef(String key, TorchType type, long bytes) {}

  /**
   * A view into a storage; in range and of countable size, but the storage itself has not been
   * looked up.
   *
   * @param type its dtype is null for a type that is not supported: then nothing else is checked
   * @param offset of the first element, in elements
   * @param strides in elements
   */
  record TensorRef(StorageRef storage, TorchType type, long offset, Shape shape, long[] strides) {
    DType dtype() {
      return type.dtype();
    }
  }

  private final PickleInput in;
  private final Map<String, StorageRef> storages = new HashMap<>();

  TorchGlobals(PickleInput in) {
    this.in = in;
  }

  /** Every storage that has been referred to. */
  Map<String, StorageRef> storages() {
    return storages;
  }

  /** What a name stands for: a {@link Callable}, a {@link TorchType} or a {@link Named}. */
  Object resolve(String module, String name) {
    String qualified = module + "." + name;
    String outer = module.replaceFirst("\\..*", "");
    boolean builtin = outer.equals("builtins") || outer.equals("__builtin__");
    if (HARMFUL.contains(outer)
        || builtin && !BUILTINS.contains(name)
        || qualified.equals("torch.load")
        || qualified.startsWith("torch.hub.")) {
      throw in.refusal(
          "it asks for "
              + Names.printable(qualified)
              + ", which weights do not need; nothing was executed. "
              + REMEDY);
    } else if (CALLABLES.containsKey(qualified)) {
      return CALLABLES.get(qualified);
    }
    TorchType type = TorchType.of(qualified);
    return type != null ? type : new Named(qualified);
  }

  /** The storage of a persistent id ('storage', type, key, location, elements[, view]). */
  StorageRef storage(Object persistentId) {
    if (persistentId instanceof Tuple tuple
        && (tuple.items().length == 5 || tuple.items().length == 6 && tuple.items()[5] == null)
        && "storage".equals(tuple.items()[0])
        && tuple.items()[1] instanceof TorchType type
        && tuple.items()[2] instanceof String key
        && tuple.items()[3] instanceof String
        && tuple.items()[4] instanceof Long elements) {
      if (!key.matches("[A-Za-z0-9_]{1,64}")) {
        throw in.refusal("storage key '" + Names.printable(key) + "' is no plain number or name");
      }
      if (type.width() == 0 || elements < 0 || elements > Long.MAX_VALUE / type.width()) {
        throw in.refusal("storage " + key + " of " + elements + " elements");
      }
      StorageRef storage = new StorageRef(key, type, elements * type.width());
      storages.putIfAbsent(key, storage);
      return storage;
    }
    throw in.refusal("a persistent id that is not ('storage', type, key, location, elements)");
  }

  Object call(Callable function, Object[] arguments, PickleMachine machine) {
    int n = arguments.length;
    switch (function) {
      case ORDERED_DICT, COUNTER -> {
        return dict(arguments, machine);
      }
      case DEFAULT_DICT -> {
        return new Dict(); // made of the factory of its values; the items follow
      }
      case SET -> {
        if (n == 0 || n == 1 && arguments[0] instanceof List) {
          return new PySet(n == 0 ? new ArrayList<>() : new ArrayList<>((List<?>) arguments[0]));
        }
      }
      case SIZE -> {
        if (n == 1 && (arguments[0] instanceof Tuple || arguments[0] instanceof List)) {
          return arguments[0];
        }
      }
      case DEVICE, LAYOUT -> {
        if (n >= 1 && arguments[0] instanceof String name) {
          return name;
        }
      }
      case REBUILD_TENSOR -> {
        if (n == 4) {
          return tensor(arguments, null);
        }
      }
      case REBUILD_TENSOR_V2 -> {
        if (n == 6 || n == 7 && isEmpty(arguments[6])) {
          return tensor(arguments, null);
        }
      }
      case REBUILD_TENSOR_V3 -> {
        if ((n == 7 || n == 8 && isEmpty(arguments[7]))
            && arguments[6] instanceof TorchType dtype) {
          return tensor(arguments, dtype);
        }
      }
      case REBUILD_PARAMETER, REBUILD_PARAMETER_WITH_STATE -> {
        if (n == (function == Callable.REBUILD_PARAMETER ? 3 : 4)
            && (arguments[0] instanceof TensorRef || arguments[0] instanceof Inert)) {
          return arguments[0];
        }
      }
      case REBUILD_FROM_TYPE -> {
        if (n == 4
            && arguments[0] instanceof Callable rebuild
            && rebuild != Callable.REBUILD_FROM_TYPE
            && arguments[2] instanceof Tuple inner) {
          return call(rebuild, inner.items(), machine); // a tensor with attributes of its own
        } else if (n == 4 && arguments[0] instanceof Named unknown) {
          return new Inert(unknown.name());
        }
      }
      default -> throw new IllegalStateException(function.name());
    }
    throw in.refusal(
        function + " with " + n + " arguments of unexpected kinds (a conjugated or negated view?)");
  }

  private static boolean isEmpty(Object value) {
    return value == null || value instanceof Dict dict && dict.entries.isEmpty();
  }

  /** Empty, a copy, or, as Python 2 wrote it, from a list of pairs. */
  private Dict dict(Object[] arguments, PickleMachine machine) {
    Dict dict = new Dict();
    if (arguments.length == 1 && arguments[0] instanceof Dict from) {
      dict.entries.putAll(from.entries);
      return dict;
    }
    if (arguments.length > 1 || arguments.length == 1 && !(arguments[0] instanceof List)) {
      throw in.refusal("OrderedDict from something that is no list of pairs");
    }
    for (Object pair : arguments.length == 0 ? List.of() : (List<?>) arguments[0]) {
      Object[] items =
          pair instanceof Tuple tuple
              ? tuple.items()
              : pair instanceof List<?> l && l.size() == 2 ? l.toArray() : null;
      if (items == null || items.length != 2) {
        throw in.refusal("OrderedDict from something that is no list of pairs");
      }
      machine.put(dict, items[0], items[1]);
    }
    return dict;
  }

  private TensorRef tensor(Object[] arguments, TorchType viewed) {
    if (!(arguments[0] instanceof StorageRef storage) || !(arguments[1] instanceof Long offset)) {
      throw in.refusal("a tensor that is not made of a storage, an offset, a size and a stride");
    }
    long[] sizes = integers(arguments[2], "size");
    long[] strides = integers(arguments[3], "stride");
    TorchType type = viewed != null ? viewed : storage.type();
    if (type.equals(TorchType.UNTYPED)) {
      throw in.refusal("a tensor over untyped bytes without a dtype");
    }
    if (sizes.length != strides.length || sizes.length > MAX_RANK) {
      throw in.refusal(
          "a tensor with " + sizes.length + " sizes and " + strides.length + " strides");
    }
    Shape shape = Shape.of(sizes);
    if (type.dtype() != null) {
      checkRange(storage, type.dtype(), offset, shape, strides);
    }
    return new TensorRef(storage, type, offset, shape, strides);
  }

  private void checkRange(
      StorageRef storage, DType dtype, long offset, Shape shape, long[] strides) {
    long held = storage.bytes() / dtype.bytes();
    long elements;
    long end;
    try {
      elements = shape.size();
      Math.multiplyExact(elements, (long) dtype.bytes());
      end = elements == 0 ? offset : Math.addExact(offset, 1);
      for (int axis = 0; elements > 0 && axis < strides.length; axis++) {
        end = Math.addExact(end, Math.multiplyExact(shape.dim(axis) - 1, strides[axis]));
      }
    } catch (ArithmeticException overflow) {
      throw in.refusal("a tensor of shape " + shape + ", larger than 64 bits can count");
    }
    if (offset < 0 || end > held) {
      throw in.refusal(
          "a tensor of shape "
              + shape
              + " at offset "
              + offset
              + " ends at element "
              + end
              + ", its storage "
              + storage.key()
              + " has "
              + held);
    }
    if (elements > Math.max(held, MAX_REPEATED)) {
      throw in.refusal(
          "a tensor of shape "
              + shape
              + " repeats the "
              + held
              + " elements of its storage too often");
    }
  }

  private long[] integers(Object value, String what) {
    if (!(value instanceof Tuple tuple)) {
      throw in.refusal("a tensor's " + what + " is no tuple");
    }
    long[] out = new long[tuple.items().length];
    for (int i = 0; i < out.length; i++) {
      if (!(tuple.items()[i] instanceof Long number) || number < 0) {
        throw in.refusal(
            "a tensor's "
                + what
                + " holds "
                + describe(tuple.items()[i])
                + "; expected integers that are not negative");
      }
      out[i] = number;
    }
    return out;
  }

  private static String describe(Object value) {
    return value instanceof Number ? value.toString() : "something that is no integer";
  }
}
