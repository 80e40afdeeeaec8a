package dev.longalign.tensor;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.io.SafetensorsFile;
import dev.longalign.io.TensorFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;

/**
 * Inputs and outputs of the reference implementation: {@code NAME.safetensors}, described by {@code
 * NAME.json}.
 *
 * <pre>{@code
 * Golden golden = Golden.open("unet/forward");
 * Tensor latents = golden.nhwc(backend, "sample");                 // [B, C, H, W] -> [B, H, W, C]
 * golden.checkNhwc(Tolerance.F32, "out_t999", unet.forward(...));
 * }</pre>
 */
public final class Golden {
  private final JsonObject description;
  private final TensorFile tensors;

  private Golden(JsonObject description, TensorFile tensors) {
    this.description = description;
    this.tensors = tensors;
  }

  /**
   * The folder of golden vectors; the system property {@code longalign.golden} names another of the
   * same layout.
   */
  public static Path folder() {
    return Path.of(System.getProperty("longalign.golden", "../longalign-api/src/test/golden"));
  }

  /**
   * The folder of the mini model's vectors; the system property {@code longalign.mini} names
   * another.
   */
  public static Path miniFolder() {
    return Path.of(System.getProperty("longalign.mini", "../longalign-api/src/test/mini"));
  }

  /** Opens for example {@code unet/forward}. */
  public static Golden open(String name) {
    return open(folder().resolve(name + ".json"), folder().resolve(name + ".safetensors"));
  }

  public static Golden open(Path json, Path safetensors) {
    try {
      JsonObject description = JsonParser.parseString(Files.readString(json)).getAsJsonObject();
      return new Golden(description, SafetensorsFile.open(safetensors));
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
    return tensors.names();
  }

  public Shape shape(String name) {
    return tensors.tensor(name).shape();
  }

  /** All elements, as stored, in f32 (f64 and integers are rounded). */
  public float[] floats(String name) {
    return tensors.tensor(name).toFloats();
  }

  /** All elements of an integer or boolean tensor. */
  public long[] longs(String name) {
    return tensors.tensor(name).toLongs();
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
    tolerance.check(tensors.source() + " " + name, shape(name), floats(name), actual);
  }

  /** Compares an [B, H, W, C] result with a tensor stored as [B, C, H, W]. */
  public void checkNhwc(Tolerance tolerance, String name, Tensor actual) {
    Shape nchw = shape(name);
    tolerance.check(
        tensors.source() + " " + name + " (NHWC)", nhwc(nchw), toNhwc(nchw, floats(name)), actual);
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
}
