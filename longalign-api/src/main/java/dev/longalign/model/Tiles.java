package dev.longalign.model;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.function.UnaryOperator;

/**
 * Runs a model that resizes pictures over overlapping tiles of a picture and blends the seams
 * linearly. Cutting and blending happen on the host: what is tiled are pictures and latents, which
 * have few channels.
 *
 * @param inTile side of a tile
 * @param outTile side of what the model makes of a tile
 * @param inShared what a tile shares with the next one, less than its side
 * @param outShared the same after the model; inShared : outShared = inTile : outTile
 */
record Tiles(int inTile, int outTile, int inShared, int outShared) {

  /**
   * @param model keeps the ratio of height and width; called once for each tile
   */
  Tensor run(Tensor x, UnaryOperator<Tensor> model) { // [1, H, W, C] -> [1, H', W', C']
    if (x.dim(1) <= inTile && x.dim(2) <= inTile) {
      return model.apply(x);
    }
    int outStep = outTile - outShared;
    Plane input = Plane.of(x);
    int step = inTile - inShared;
    int rows = count(x.dim(1));
    int columns = count(x.dim(2));
    Plane out = null;
    Plane[] above = new Plane[columns];
    for (int i = 0; i < rows; i++) {
      Plane left = null;
      for (int j = 0; j < columns; j++) {
        Plane tile = tile(model, x.backend(), input.cut(i * step, j * step, inTile, inTile));
        if (i > 0) {
          tile.blendBelow(above[j], outShared);
        }
        if (j > 0) {
          tile.blendRightOf(left, outShared);
        }
        if (out == null) {
          out = new Plane(resized(x.dim(1)), resized(x.dim(2)), tile.channels());
        }
        out.paste(tile, i * outStep, j * outStep);
        above[j] = tile;
        left = tile;
      }
    }
    return out.upload(x.backend()).cast(x.dtype());
  }

  /** One wherever a step begins, as diffusers cuts, even where the tile before reaches the end. */
  private int count(int side) {
    int step = inTile - inShared;
    return (side + step - 1) / step;
  }

  private int resized(int side) {
    return Math.toIntExact((long) side * outTile / inTile);
  }

  private static Plane tile(UnaryOperator<Tensor> model, Backend backend, Plane tile) {
    try (TensorScope scope = TensorScope.open()) {
      return Plane.of(model.apply(tile.upload(backend)));
    }
  }

  /** A picture on the host, [height, width, channels]. */
  private record Plane(int height, int width, int channels, float[] values) {
    Plane(int height, int width, int channels) {
      this(
          height,
          width,
          channels,
          new float[Math.multiplyExact(Math.multiplyExact(height, width), channels)]);
    }

    static Plane of(Tensor x) { // [1, H, W, C]
      return new Plane(x.dim(1), x.dim(2), x.dim(3), x.toFloats());
    }

    Tensor upload(Backend backend) {
      return Tensor.of(backend, Shape.of(1, height, width, channels), values);
    }

    private int at(int y, int x) {
      return (y * width + x) * channels;
    }

    Plane cut(int top, int left, int maxHeight, int maxWidth) {
      Plane part =
          new Plane(Math.min(maxHeight, height - top), Math.min(maxWidth, width - left), channels);
      for (int y = 0; y < part.height; y++) {
        System.arraycopy(
            values, at(top + y, left), part.values, part.at(y, 0), part.width * channels);
      }
      return part;
    }

    /** What the next tiles share with this one, they write over, blended. */
    void paste(Plane tile, int top, int left) {
      for (int y = 0; y < tile.height; y++) {
        System.arraycopy(
            tile.values, tile.at(y, 0), values, at(top + y, left), tile.width * channels);
      }
    }

    /** The first rows go over from the last rows of the tile above. */
    void blendBelow(Plane above, int extent) {
      int n = Math.min(extent, Math.min(above.height, height));
      for (int y = 0; y < n; y++) {
        float weight = (float) y / n;
        mix(
            at(y, 0),
            above,
            above.at(above.height - n + y, 0),
            Math.min(width, above.width) * channels,
            weight);
      }
    }

    /** The first columns go over from the last columns of the tile to the left. */
    void blendRightOf(Plane left, int extent) {
      int n = Math.min(extent, Math.min(left.width, width));
      for (int y = 0; y < Math.min(height, left.height); y++) {
        for (int x = 0; x < n; x++) {
          mix(at(y, x), left, left.at(y, left.width - n + x), channels, (float) x / n);
        }
      }
    }

    private void mix(int at, Plane other, int otherAt, int count, float weight) {
      for (int i = 0; i < count; i++) {
        values[at + i] = other.values[otherAt + i] * (1 - weight) + values[at + i] * weight;
      }
    }
  }
}
