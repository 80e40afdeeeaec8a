package dev.longalign.io;

import dev.longalign.io.ResampleFilter.Weights;
import java.util.Arrays;

/**
 * Pillow's {@code Image.resize} on bytes [height, width, 3], to the bit: columns first, then rows,
 * each pass with fixed-point weights of 22 bits and its result rounded to bytes.
 */
public final class PictureResize {
  private static final int PRECISION_BITS = 22;

  private PictureResize() {}

  /**
   * @param rgb the picture, row by row; not changed
   * @return [toHeight, toWidth, 3]; the same array if the size is the same
   */
  public static byte[] resize(
      byte[] rgb, int width, int height, int toWidth, int toHeight, ResampleFilter filter) {
    return resize(
        rgb, width, height, new Target(toWidth, toHeight, 0, 0, toWidth, toHeight), filter);
  }

  /**
   * A part of a resized picture.
   *
   * @param fullWidth of the whole
   * @param fullHeight of the whole
   * @param left edge of the part
   * @param top edge of the part
   */
  public record Target(
      long fullWidth, long fullHeight, long left, long top, int width, int height) {}

  /** {@link #resize}, of which only a part is computed: [height, width, 3] of the target. */
  public static byte[] resize(
      byte[] rgb, int width, int height, Target target, ResampleFilter filter) {
    boolean sameRows = target.fullHeight == height && target.height == height;
    if (sameRows && target.fullWidth == width && target.width == width) {
      return rgb;
    }
    Weights columns = filter.weights(width, target.fullWidth, target.left, target.width);
    Weights rows = filter.weights(height, target.fullHeight, target.top, target.height);
    int[] first = rows.first();
    int start = first[0];
    int last = target.height - 1;
    int used = sameRows ? height : first[last] + rows.values()[last].length - start;
    byte[] wide =
        target.fullWidth == width && target.width == width
            ? Arrays.copyOfRange(rgb, start * width * 3, (start + used) * width * 3)
            : pass(rgb, start, used, width, 3, columns);
    if (sameRows) {
      return wide;
    }
    int[] moved = Arrays.stream(first).map(row -> row - start).toArray();
    return pass(wide, 0, 1, used, 3 * target.width, new Weights(moved, rows.values()));
  }

  /** [outer, in, inner] to [count, out, inner], from {@code start} of the outer ones on. */
  private static byte[] pass(
      byte[] from, int start, int count, int in, int inner, Weights weights) {
    int[][] fixed = fixed(weights.values());
    int out = fixed.length;
    byte[] to = new byte[Math.multiplyExact(Math.multiplyExact(count, out), inner)];
    int[] sums = new int[inner];
    for (int o = 0; o < count; o++) {
      for (int i = 0; i < out; i++) {
        Arrays.fill(sums, 1 << PRECISION_BITS - 1);
        int at = ((start + o) * in + weights.first()[i]) * inner;
        for (int weight : fixed[i]) {
          for (int k = 0; k < inner; k++) {
            sums[k] += (from[at + k] & 255) * weight;
          }
          at += inner;
        }
        int result = (o * out + i) * inner;
        for (int k = 0; k < inner; k++) {
          to[result + k] = (byte) Math.max(0, Math.min(255, sums[k] >> PRECISION_BITS));
        }
      }
    }
    return to;
  }

  private static int[][] fixed(double[][] weights) {
    int[][] fixed = new int[weights.length][];
    for (int i = 0; i < weights.length; i++) {
      fixed[i] = new int[weights[i].length];
      for (int j = 0; j < fixed[i].length; j++) {
        double scaled = weights[i][j] * (1 << PRECISION_BITS);
        fixed[i][j] = (int) (scaled < 0 ? scaled - 0.5 : scaled + 0.5);
      }
    }
    return fixed;
  }
}
