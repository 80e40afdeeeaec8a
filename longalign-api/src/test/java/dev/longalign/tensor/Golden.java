package dev.longalign.tensor;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.Set;

/**
 * Inputs and outputs of the reference implementation: {@code NAME.safetensors}, described by {@code NAME.json}.
 *
 * <pre>{@code
 * Golden golden = Golden.open("unet/forward");
 * Tensor latents = golden.nhwc(backend, "sample");                 // [B, C, H, W] -> [B, H, W, C]
 * golden.checkNhwc(Tolerance.F32, "out_t999", unet.forward(...));
 * }</pre>
 */
public final class Golden {
  private final JsonObject description;
  private final JsonObject header;
  private final ByteBuffer data;
  private final Path file;

  private Golden(Path json, Path safetensors) throws IOException {
    description = JsonParser.parseString(Files.readString(json)).getAsJsonObject();
    file = safetensors;
    ByteBuffer all = ByteBuffer.wrap(Files.readAllBytes(safetensors)).order(ByteOrder.LITTLE_ENDIAN);
    int headerLength = Math.toIntExact(all.getLong());
    String text = StandardCharsets.UTF_8.decode(all.slice(8, headerLength)).toString();
    header = JsonParser.parseString(text).getAsJsonObject();
    data = all.slice(8 + headerLength, all.limit() - 8 - headerLength).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The folder of golden vectors; the system property {@code longalign.golden} names another of the same layout. */
  public static Path folder() {
    return Path.of(System.getProperty("longalign.golden", "../longalign-api/src/test/golden"));
  }

  /** The folder of the mini model's vectors; the system property {@code longalign.mini} names another. */
  public static Path miniFolder() {
    return Path.of(System.getProperty("longalign.mini", "../longalign-api/src/test/mini"));
  }

  /** Opens for example {@code unet/forward}. */
  public static Golden open(String name) {
    return open(folder().resolve(name + ".json"), folder().resolve(name + ".safetensors"));
  }

  public static Golden open(Path json, Path safetensors) {
    try {
      return new Golden(json, safetensors);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The whole JSON file. */
  public JsonObject description() {
    return description;
  }

  /** The JSON file's {@code values}. */
  public JsonObject values() {
    return description.getAsJsonObject("values");
  }

  /** What the JSON file says of one tensor: meaning, layout, ... */
  public JsonObject about(String name) {
    return description.getAsJsonObject("tensors").getAsJsonObject(name);
  }

  public Set<String> names() {
    Set<String> names = new LinkedHashSet<>(header.keySet());
    names.remove("__metadata__");
    return names;
  }

  public Shape shape(String name) {
    return Shape.of(entry(name).getAsJsonArray("shape").asList().stream().mapToLong(e -> e.getAsLong()).toArray());
  }

  /** All elements, as stored, in f32 (f64 and integers are rounded). */
  public float[] floats(String name) {
    ByteBuffer bytes = bytes(name);
    DType dtype = dtype(name);
    float[] values = new float[Math.toIntExact(shape(name).size())];
    for (int i = 0; i < values.length; i++) {
      int at = i * dtype.bytes();
      values[i] = switch (dtype) {
        case F32 -> bytes.getFloat(at);
        case F64 -> (float) bytes.getDouble(at);
        case BF16 -> Float.intBitsToFloat(bytes.getShort(at) << 16);
        case F16 -> fromHalf(bytes.getShort(at));
        default -> integer(bytes, dtype, at);
      };
    }
    return values;
  }

  /** All elements of an integer or boolean tensor. */
  public long[] longs(String name) {
    ByteBuffer bytes = bytes(name);
    DType dtype = dtype(name);
    long[] values = new long[Math.toIntExact(shape(name).size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = integer(bytes, dtype, i * dtype.bytes());
    }
    return values;
  }

  /** The tensor as stored, in f32. */
  public Tensor tensor(Backend backend, String name) {
    return Tensor.of(backend, shape(name), floats(name));
  }

  /** A tensor stored as [B, C, H, W], as [B, H, W, C] in f32. */
  public Tensor nhwc(Backend backend, String name) {
    Shape nchw = shape(name);
    return Tensor.of(backend, nhwc(nchw), toNhwc(nchw, floats(name)));
  }

  /** Compares with a tensor stored in the same layout. */
  public void check(Tolerance tolerance, String name, Tensor actual) {
    tolerance.check(file.getFileName() + " " + name, shape(name), floats(name), actual);
  }

  /** Compares an [B, H, W, C] result with a tensor stored as [B, C, H, W]. */
  public void checkNhwc(Tolerance tolerance, String name, Tensor actual) {
    Shape nchw = shape(name);
    tolerance.check(file.getFileName() + " " + name + " (NHWC)", nhwc(nchw), toNhwc(nchw, floats(name)), actual);
  }

  /** The shape [B, H, W, C] of a [B, C, H, W] tensor. */
  public static Shape nhwc(Shape nchw) {
    return Shape.of(nchw.dim(0), nchw.dim(2), nchw.dim(3), nchw.dim(1));
  }

  /** Reorders the elements of a [B, C, H, W] tensor to [B, H, W, C]. */
  public static float[] toNhwc(Shape nchw, float[] values) {
    int channels = nchw.intDim(1);
    int pixels = nchw.intDim(2) * nchw.intDim(3);
    float[] reordered = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      int b = i / (channels * pixels);
      int c = i / pixels % channels;
      int pixel = i % pixels;
      reordered[(b * pixels + pixel) * channels + c] = values[i];
    }
    return reordered;
  }

  private JsonObject entry(String name) {
    if (!header.has(name)) {
      throw new IllegalArgumentException(file + " has no tensor " + name + "; it has " + names());
    }
    return header.getAsJsonObject(name);
  }

  private DType dtype(String name) {
    return DType.valueOf(entry(name).get("dtype").getAsString());
  }

  private ByteBuffer bytes(String name) {
    var offsets = entry(name).getAsJsonArray("data_offsets");
    int from = offsets.get(0).getAsInt();
    return data.slice(from, offsets.get(1).getAsInt() - from).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static long integer(ByteBuffer bytes, DType dtype, int at) {
    return switch (dtype) {
      case I64 -> bytes.getLong(at);
      case I32 -> bytes.getInt(at);
      case I16 -> bytes.getShort(at);
      case I8 -> bytes.get(at);
      case U8, BOOL -> bytes.get(at) & 0xff;
      default -> throw new IllegalArgumentException(dtype + " is not an integer type");
    };
  }

  private static float fromHalf(short half) {
    int exponent = half >> 10 & 31;
    int fraction = half & 1023;
    float magnitude =
        exponent == 31
            ? (fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN)
            : exponent == 0 ? Math.scalb((float) fraction, -24) : Math.scalb(1024f + fraction, exponent - 25);
    return half < 0 ? -magnitude : magnitude;
  }
}
