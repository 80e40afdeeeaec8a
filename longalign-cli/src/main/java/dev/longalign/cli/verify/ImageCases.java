package dev.longalign.cli.verify;

import com.google.gson.JsonObject;
import dev.longalign.data.PicturePreprocessing;
import dev.longalign.data.RgbPicture;
import dev.longalign.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** {@code image/}: what training makes of a picture: resized, cropped, in [-1, 1]. */
final class ImageCases implements CaseSource {
  private static final String AREA = "image";
  private static final String CASE = "case_";

  /** Bytes may differ by this much where an implementation rounds differently. */
  private static final int BYTES = 1;

  private final Vectors vectors;

  ImageCases(Vectors vectors) {
    this.vectors = vectors;
  }

  @Override
  public List<VerifyCase> cases() {
    List<VerifyCase> cases = new ArrayList<>();
    Set<String> open = new TreeSet<>(vectors.names());
    open.addAll(vectors.values());
    for (String key : vectors.values()) {
      String number = key.startsWith(CASE) ? key.substring(CASE.length()) : "";
      if (!number.isEmpty() && vectors.has("image_" + number)) {
        cases.add(new VerifyCase(AREA, vectors.name() + "." + key, c -> run(key, number, c)));
        open.removeAll(
            Set.of(
                key,
                "image_" + number,
                "resized_" + number,
                "cropped_" + number,
                "pixels_" + number));
      }
    }
    for (String name : open) {
      cases.add(VerifyCase.skipped(AREA, vectors.name() + "." + name, "unknown case"));
    }
    return cases;
  }

  private void run(String key, String number, Comparison comparison) {
    JsonObject about = vectors.value(key).getAsJsonObject();
    PicturePreprocessing preprocessing =
        new PicturePreprocessing(about.get("resolution").getAsInt());
    RgbPicture input = picture("image_" + number);
    bytes("resized_" + number, preprocessing.resize(input), comparison);
    RgbPicture cropped = preprocessing.apply(input);
    bytes("cropped_" + number, cropped, comparison);

    String pixels = "pixels_" + number; // [3, H, W]
    if (vectors.has(pixels)) {
      float[] hwc = cropped.toFloats();
      float[] chw = new float[hwc.length];
      int size = chw.length / 3;
      for (int i = 0; i < chw.length; i++) {
        chw[i] = hwc[i % size * 3 + i / size];
      }
      Shape shape = Shape.of(3, cropped.height(), cropped.width());
      comparison.closeWithin(
          pixels, vectors.shape(pixels), vectors.floats(pixels), shape, chw, BYTES * 2 / 255.0);
    }
  }

  private RgbPicture picture(String name) {
    Shape shape = vectors.shape(name); // [H, W, 3]
    float[] values = vectors.floats(name);
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return RgbPicture.of(shape.intDim(1), shape.intDim(0), bytes);
  }

  private void bytes(String name, RgbPicture found, Comparison comparison) {
    if (!vectors.has(name)) {
      return;
    }
    byte[] bytes = found.bytes();
    float[] values = new float[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      values[i] = bytes[i] & 255;
    }
    Shape shape = Shape.of(found.height(), found.width(), 3);
    comparison.closeBytes(name, vectors.shape(name), vectors.floats(name), shape, values, BYTES);
  }
}
