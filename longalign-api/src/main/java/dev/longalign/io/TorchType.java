package dev.longalign.io;

import dev.longalign.tensor.DType;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The type of elements, by a storage's class or a dtype.
 *
 * @param dtype null for types that are not supported, and for untyped bytes
 * @param width of an element in bytes; 0 for a dtype of which nothing is known
 */
record TorchType(String name, DType dtype, int width) {
  static final TorchType UNTYPED = new TorchType("torch.storage.UntypedStorage", null, 1);
  private static final Map<String, TorchType> ALL = all();

  /** The type of a class or dtype by its qualified name, null if it is none. */
  static TorchType of(String name) {
    return ALL.get(name);
  }

  @Override
  public String toString() {
    return name;
  }

  private static Map<String, TorchType> all() {
    Map<String, TorchType> types = new HashMap<>();
    Map.ofEntries(
            Map.entry("Double", DType.F64),
            Map.entry("Float", DType.F32),
            Map.entry("Half", DType.F16),
            Map.entry("BFloat16", DType.BF16),
            Map.entry("Long", DType.I64),
            Map.entry("Int", DType.I32),
            Map.entry("Short", DType.I16),
            Map.entry("Char", DType.I8),
            Map.entry("Byte", DType.U8),
            Map.entry("Bool", DType.BOOL))
        .forEach((name, dtype) -> add(types, name + "Storage", dtype, dtype.bytes()));
    types.put(UNTYPED.name(), UNTYPED);
    Map.of(
            "ComplexDouble",
            16,
            "ComplexFloat",
            8,
            "QInt32",
            4,
            "QInt8",
            1,
            "QUInt8",
            1,
            "QUInt4x2",
            1,
            "QUInt2x4",
            1)
        .forEach((name, width) -> add(types, name + "Storage", null, width));
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
            Map.entry("float8_e5m2", DType.F8_E5M2))
        .forEach((name, dtype) -> add(types, name, dtype, dtype.bytes()));
    for (String name :
        List.of(
            "complex32",
            "chalf",
            "complex64",
            "cfloat",
            "complex128",
            "cdouble",
            "float8_e4m3fnuz",
            "float8_e5m2fnuz",
            "float8_e8m0fnu",
            "float4_e2m1fn_x2",
            "qint8",
            "quint8",
            "qint32",
            "quint4x2",
            "quint2x4")) {
      add(types, name, null, 0);
    }
    return types;
  }

  private static void add(Map<String, TorchType> types, String name, DType dtype, int width) {
    types.put("torch." + name, new TorchType("torch." + name, dtype, width));
  }
}
