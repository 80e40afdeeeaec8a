package dev.longalign.onnx.graph;

import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnxruntime.OnnxJavaType;
import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;

/** Element types as ONNX files and ONNX Runtime's Java API number them. */
public final class OnnxTypes {
  private OnnxTypes() {}

  /** The number of {@code dtype} in {@code TensorProto.DataType}. */
  public static int code(DType dtype) {
    return switch (dtype) {
      case F64 -> TensorProto.DataType.DOUBLE_VALUE;
      case F32 -> TensorProto.DataType.FLOAT_VALUE;
      case F16 -> TensorProto.DataType.FLOAT16_VALUE;
      case BF16 -> TensorProto.DataType.BFLOAT16_VALUE;
      case I64 -> TensorProto.DataType.INT64_VALUE;
      case I32 -> TensorProto.DataType.INT32_VALUE;
      case I16 -> TensorProto.DataType.INT16_VALUE;
      case I8 -> TensorProto.DataType.INT8_VALUE;
      case U8 -> TensorProto.DataType.UINT8_VALUE;
      case U16 -> TensorProto.DataType.UINT16_VALUE;
      case U32 -> TensorProto.DataType.UINT32_VALUE;
      case U64 -> TensorProto.DataType.UINT64_VALUE;
      case BOOL -> TensorProto.DataType.BOOL_VALUE;
      // The numbers of ONNX IR 9; the generated classes are older than these types.
      case F8_E4M3 -> 17;
      case F8_E5M2 -> 19;
    };
  }

  /** The Java API's name of a type that weights are stored in. */
  public static OnnxJavaType javaType(DType dtype) {
    return switch (dtype) {
      case F64 -> OnnxJavaType.DOUBLE;
      case F32 -> OnnxJavaType.FLOAT;
      case F16 -> OnnxJavaType.FLOAT16;
      case BF16 -> OnnxJavaType.BFLOAT16;
      case I64 -> OnnxJavaType.INT64;
      case I32 -> OnnxJavaType.INT32;
      case I16 -> OnnxJavaType.INT16;
      case I8 -> OnnxJavaType.INT8;
      case U8 -> OnnxJavaType.UINT8;
      case BOOL -> OnnxJavaType.BOOL;
      default ->
          throw new LongAlignException(
              "ONNX Runtime's Java API cannot hold a tensor of type " + dtype);
    };
  }
}
