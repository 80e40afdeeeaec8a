package dev.longalign.io;

import dev.longalign.io.PickleMachine.Dict;
import dev.longalign.io.PickleMachine.Tuple;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The names that a torch pickle may refer to, and what they build: an allow-list; every other name
 * is refused. Python: {@code torch/_utils.py} ({@code _rebuild_tensor_v2} and its relatives),
 * {@code torch/serialization.py} (persistent ids of storages).
 */
final class TorchGlobals {
  /**
   * A view may repeat elements of its storage (stride 0), but not blow a small file up without
   * bound.
   */
  private static final long MAX_REPEATED = 1L << 24;

  private static final int MAX_RANK = 64;

  private static final Map<String, DType> STORAGES =
      Map.ofEntries(
          Map.entry("DoubleStorage", DType.F64), Map.entry("FloatStorage", DType.F32),
          Map.entry("HalfStorage", DType.F16), Map.entry("BFloat16Storage", DType.BF16),
          Map.entry("LongStorage", DType.I64), Map.entry("IntStorage", DType.I32),
          Map.entry("ShortStorage", DType.I16), Map.entry("CharStorage", DType.I8),
          Map.entry("ByteStorage", DType.U8), Map.entry("BoolStorage", DType.BOOL));

  private static final Map<String, DType> DTYPES =
      Map.ofEntries(
          Map.entry("float64", DType.F64),
          Map.entry("double", DType.F64),
          Map.entry("float32", DType.F32),
          Map.entry("float", DType.F32),
          Map.entry("float16", DType.F16),
          Map.entry("half", DType.F16),
          Map.entry("bfloat16", DType.BF16),
          Map.entry("int64", DType.I64),
          Map.entry("long", DType.I64),
          Map.entry("int32", DType.I32),
          Map.entry("int", DType.I32),
          Map.entry("int16", DType.I16),
          Map.entry("short", DType.I16),
          Map.entry("int8", DType.I8),
          Map.entry("uint8", DType.U8),
          Map.entry("uint16", DType.U16),
          Map.entry("uint32", DType.U32),
          Map.entry("uint64", DType.U64),
          Map.entry("bool", DType.BOOL),
          Map.entry("float8_e4m3fn", DType.F8_E4M3),
          Map.entry("float8_e5m2", DType.F8_E5M2));

  /** Classes that checkpoints of whole trainings name, as a key beside the weights: just a text. */
  private static final Set<String> NAMES =
      Set.of("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint");

  private enum Callable {
    ORDERED_DICT,
    REBUILD_TENSOR,
    REBUILD_TENSOR_V2,
    REBUILD_TENSOR_V3,
    REBUILD_PARAMETER,
    REBUILD_PARAMETER_WITH_STATE
  }

  private static final Map<String, Callable> CALLABLES =
      Map.of(
          "collections.OrderedDict", Callable.ORDERED_DICT,
          "torch._utils._rebuild_tensor", Callable.REBUILD_TENSOR,
          "torch._utils._rebuild_tensor_v2", Callable.REBUILD_TENSOR_V2,
          "torch._utils._rebuild_tensor_v3", Callable.REBUILD_TENSOR_V3,
          "torch._utils._rebuild_parameter", Callable.REBUILD_PARAMETER,
          "torch._utils._rebuild_parameter_with_state", Callable.REBUILD_PARAMETER_WITH_STATE);

  /**
   * @param dtype null for untyped bytes
   */
  private record StorageType(DType dtype) {}

  /**
   * A persistent id: the storage of a key.
   *
   * @param dtype null for untyped bytes
   * @param bytes how long the storage claims to be
   */
  record StorageRef(String key, DType dtype, long bytes) {
    int width() {
      return dtype == null ? 1 : dtype.bytes();
    }
  }

  /**
   * A view into a storage; in range and of countable size, but the storage itself has not been
   * looked up.
   *
   * @param offset of the first element, in elements
   * @param strides in elements
   */
  record TensorRef(StorageRef storage, DType dtype, long offset, Shape shape, long[] strides) {}

  private final PickleInput in;
  private final Map<String, StorageRef> storages = new HashMap<>();

  TorchGlobals(PickleInput in) {
    this.in = in;
  }

  /** Every storage that has been referred to. */
  Map<String, StorageRef> storages() {
    return storages;
  }

  /** What a name stands for: a callable, a storage type or a dtype. */
  Object resolve(String module, String name) {
    String qualified = module + "." + name;
    Object known = CALLABLES.get(qualified);
    if (known == null && module.equals("torch") && STORAGES.containsKey(name)) {
      known = new StorageType(STORAGES.get(name));
    } else if (known == null && module.equals("torch")) {
      known = DTYPES.get(name);
    } else if (known == null && qualified.equals("torch.storage.UntypedStorage")) {
      known = new StorageType(null);
    } else if (known == null && NAMES.contains(qualified)) {
      known = qualified;
    }
    if (known == null) {
      throw in.refusal(
          "it asks for "
              + Names.printable(qualified)
              + ", which weights do not need; "
              + "nothing was executed. Save only tensors (torch.save(model.state_dict(), ...)) or use safetensors");
    }
    return known;
  }

  /** The storage of a persistent id ('storage', type, key, location, elements[, view]). */
  StorageRef storage(Object persistentId) {
    if (persistentId instanceof Tuple tuple
        && (tuple.items().length == 5 || tuple.items().length == 6 && tuple.items()[5] == null)
        && "storage".equals(tuple.items()[0])
        && tuple.items()[1] instanceof StorageType type
        && tuple.items()[2] instanceof String key
        && tuple.items()[3] instanceof String
        && tuple.items()[4] instanceof Long elements) {
      if (!key.matches("[A-Za-z0-9_]{1,64}")) {
        throw in.refusal("storage key '" + Names.printable(key) + "' is no plain number or name");
      }
      int width = type.dtype() == null ? 1 : type.dtype().bytes();
      if (elements < 0 || elements > Long.MAX_VALUE / width) {
        throw in.refusal("storage " + key + " of " + elements + " elements");
      }
      StorageRef storage = new StorageRef(key, type.dtype(), elements * width);
      storages.putIfAbsent(key, storage);
      return storage;
    }
    throw in.refusal("a persistent id that is not ('storage', type, key, location, elements)");
  }

  Object call(Object callable, Object[] arguments) {
    if (!(callable instanceof Callable function)) {
      throw in.refusal("REDUCE calls something that is no function");
    }
    int n = arguments.length;
    switch (function) {
      case ORDERED_DICT -> {
        return orderedDict(arguments);
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
        if ((n == 7 || n == 8 && isEmpty(arguments[7])) && arguments[6] instanceof DType dtype) {
          return tensor(arguments, dtype);
        }
      }
      case REBUILD_PARAMETER, REBUILD_PARAMETER_WITH_STATE -> {
        if (n == (function == Callable.REBUILD_PARAMETER ? 3 : 4)
            && arguments[0] instanceof TensorRef) {
          return arguments[0];
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

  /** Empty, or, as Python 2 wrote it, from a list of pairs. */
  private Dict orderedDict(Object[] arguments) {
    Dict dict = new Dict();
    if (arguments.length > 1 || arguments.length == 1 && !(arguments[0] instanceof List)) {
      throw in.refusal("OrderedDict from something that is no list of pairs");
    }
    for (Object pair : arguments.length == 0 ? List.of() : (List<?>) arguments[0]) {
      Object[] items =
          pair instanceof Tuple tuple
              ? tuple.items()
              : pair instanceof List<?> l ? l.toArray() : null;
      if (items == null || items.length != 2) {
        throw in.refusal("OrderedDict from something that is no list of pairs");
      }
      PickleMachine.putScalarKey(in, dict, items[0], items[1]);
    }
    return dict;
  }

  private TensorRef tensor(Object[] arguments, DType viewed) {
    if (!(arguments[0] instanceof StorageRef storage) || !(arguments[1] instanceof Long offset)) {
      throw in.refusal("a tensor that is not made of a storage, an offset, a size and a stride");
    }
    long[] sizes = integers(arguments[2], "size");
    long[] strides = integers(arguments[3], "stride");
    DType dtype = viewed != null ? viewed : storage.dtype();
    if (dtype == null) {
      throw in.refusal("a tensor over untyped bytes without a dtype");
    }
    if (sizes.length != strides.length || sizes.length > MAX_RANK) {
      throw in.refusal(
          "a tensor with " + sizes.length + " sizes and " + strides.length + " strides");
    }
    Shape shape = Shape.of(sizes);
    checkRange(storage, dtype, offset, shape, strides);
    return new TensorRef(storage, dtype, offset, shape, strides);
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
