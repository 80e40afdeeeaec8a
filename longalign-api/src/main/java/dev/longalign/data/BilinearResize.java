package dev.longalign.data;

/**
 * Pillow's {@code Image.resize(BILINEAR)} on bytes, which torchvision's resize of pictures is: a
 * triangle filter that is widened when shrinking (antialiased), columns first, then rows, each pass
 * with fixed-point weights of 22 bits and its result rounded to bytes.
 */
final class BilinearResize {
  private static final int PRECISION_BITS = 22;

  private BilinearResize() {}

  /** The weights of the source pixels of each result pixel, from {@code first} on. */
  private record Filter(int[] first, int[][] weights) {}

  static RgbPicture resize(RgbPicture picture, int width, int height) {
    RgbPicture wide = picture.width() == width ? picture : horizontal(picture, width);
    return wide.height() == height ? wide : vertical(wide, height);
  }

  private static Filter filter(int in, int out) {
    double scale = (double) in / out;
    double support = Math.max(scale, 1);
    int[] first = new int[out];
    int[][] weights = new int[out][];
    for (int i = 0; i < out; i++) {
      double center = (i + 0.5) * scale;
      int from = Math.max(0, (int) (center - support + 0.5));
      int to = Math.min(in, (int) (center + support + 0.5));
      double[] exact = new double[to - from];
      double sum = 0;
      for (int j = 0; j < exact.length; j++) {
        double distance = Math.abs((j + from - center + 0.5) * (1 / support));
        exact[j] = distance < 1 ? 1 - distance : 0;
        sum += exact[j];
      }
      int[] fixed = new int[exact.length];
      for (int j = 0; j < exact.length; j++) {
        fixed[j] = (int) (0.5 + exact[j] * (sum == 0 ? 1 : 1 / sum) * (1 << PRECISION_BITS));
      }
      first[i] = from;
      weights[i] = fixed;
    }
    return new Filter(first, weights);
  }

  private static RgbPicture horizontal(RgbPicture picture, int width) {
    Filter filter = filter(picture.width(), width);
    byte[] from = picture.data();
    byte[] to = new byte[Math.multiplyExact(3, Math.multiplyExact(width, picture.height()))];
    int at = 0;
    for (int y = 0; y < picture.height(); y++) {
      for (int x = 0; x < width; x++) {
        int source = (y * picture.width() + filter.first[x]) * 3;
        at = weigh(from, source, 3, filter.weights[x], to, at);
      }
    }
    return RgbPicture.owning(width, picture.height(), to);
  }

  private static RgbPicture vertical(RgbPicture picture, int height) {
    Filter filter = filter(picture.height(), height);
    int width = picture.width();
    byte[] from = picture.data();
    byte[] to = new byte[Math.multiplyExact(3, Math.multiplyExact(width, height))];
    int at = 0;
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        int source = (filter.first[y] * width + x) * 3;
        at = weigh(from, source, 3 * width, filter.weights[y], to, at);
      }
    }
    return RgbPicture.owning(width, height, to);
  }

  /** One pixel of the result: three sums over source pixels that are {@code stride} bytes apart. */
  private static int weigh(byte[] from, int source, int stride, int[] weights, byte[] to, int at) {
    int red = 1 << PRECISION_BITS - 1;
    int green = red;
    int blue = red;
    int pixel = source;
    for (int weight : weights) {
      red += (from[pixel] & 255) * weight;
      green += (from[pixel + 1] & 255) * weight;
      blue += (from[pixel + 2] & 255) * weight;
      pixel += stride;
    }
    to[at] = clip(red >> PRECISION_BITS);
    to[at + 1] = clip(green >> PRECISION_BITS);
    to[at + 2] = clip(blue >> PRECISION_BITS);
    return at + 3;
  }

  private static byte clip(int value) {
    return (byte) Math.max(0, Math.min(255, value));
  }
}
