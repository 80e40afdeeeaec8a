package dev.longalign.onnx.graph;

import ai.onnx.proto.OnnxMl.AttributeProto;
import com.google.protobuf.ByteString;
import dev.longalign.tensor.DType;

/** A named constant of a node, such as Gemm's {@code transB}. */
public final class Attribute {
  private final AttributeProto proto;

  private Attribute(
      AttributeProto.Builder builder, String name, AttributeProto.AttributeType type) {
    this.proto = builder.setName(name).setType(type).build();
  }

  public static Attribute of(String name, long value) {
    return new Attribute(
        AttributeProto.newBuilder().setI(value), name, AttributeProto.AttributeType.INT);
  }

  public static Attribute of(String name, float value) {
    return new Attribute(
        AttributeProto.newBuilder().setF(value), name, AttributeProto.AttributeType.FLOAT);
  }

  public static Attribute of(String name, String value) {
    return new Attribute(
        AttributeProto.newBuilder().setS(ByteString.copyFromUtf8(value)),
        name,
        AttributeProto.AttributeType.STRING);
  }

  public static Attribute of(String name, long[] values) {
    AttributeProto.Builder builder = AttributeProto.newBuilder();
    for (long value : values) {
      builder.addInts(value);
    }
    return new Attribute(builder, name, AttributeProto.AttributeType.INTS);
  }

  /** An element type, as Cast's {@code to} wants it. */
  public static Attribute of(String name, DType dtype) {
    return of(name, OnnxTypes.code(dtype));
  }

  AttributeProto proto() {
    return proto;
  }
}
