package dev.longalign.data.panels;

import dev.longalign.data.RgbPicture;
import java.util.Arrays;
import java.util.List;
import org.apache.commons.math3.stat.descriptive.moment.StandardDeviation;

/**
 * How far pictures are from real renders in their colours and edges, whatever they show: for models
 * that get better at what is asked and worse at drawing. Levels are those of 8-bit channels, 0 to
 * 255; luma is 0.299 R + 0.587 G + 0.114 B.
 *
 * <p>Every measure is taken of the pictures and of the renders of scenes, and pooled over all
 * pixels of all pictures. Give the scenes that the pictures show ({@link PanelsReader}) to leave
 * out what is missing in them, or those that were asked for to count that too.
 *
 * @param colorDistance the mean distance of a pixel to the nearest of the world's 8 colours and 4
 *     backgrounds, Euclidean in RGB, in levels
 * @param colorDistanceOfRenders the same of the renders, whose smooth edges have mixed colours: the
 *     reference
 * @param edgeDistance the Wasserstein-1 distance between the distributions of the gradient's
 *     magnitude, in levels of luma a pixel (forward differences); 0 for the renders themselves
 * @param saturationDrift the mean of a pixel's largest minus its smallest channel, minus that of
 *     the renders, in levels; positive for oversaturated pictures
 * @param contrastDrift the mean over pictures of the standard deviation of luma, minus that of the
 *     renders, in levels
 */
public record PictureQuality(
    double colorDistance,
    double colorDistanceOfRenders,
    double edgeDistance,
    double saturationDrift,
    double contrastDrift) {

  /**
   * Compares pictures with the renders of scenes, one by one.
   *
   * @param pictures of 96 x 96 pixels
   * @throws IllegalArgumentException if there are none, not as many scenes, or a size is another
   */
  public static PictureQuality of(List<RgbPicture> pictures, List<Scene> scenes) {
    if (pictures.isEmpty() || pictures.size() != scenes.size()) {
      throw new IllegalArgumentException(
          "expected a scene for each picture, and some: found "
              + pictures.size()
              + " pictures and "
              + scenes.size()
              + " scenes");
    }
    Measures made = new Measures(pictures);
    Measures real = new Measures(scenes.stream().map(PanelsWorld::render).toList());
    return new PictureQuality(
        made.colorDistance,
        real.colorDistance,
        wasserstein(made.gradients, real.gradients),
        made.saturation - real.saturation,
        made.contrast - real.contrast);
  }

  /** Between samples of one size: the mean distance of their order statistics. Sorts both. */
  private static double wasserstein(float[] a, float[] b) {
    Arrays.sort(a);
    Arrays.sort(b);
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += Math.abs(a[i] - b[i]);
    }
    return sum / a.length;
  }

  /** What is measured of pictures for themselves. */
  private static final class Measures {
    private static final int SIDE = PanelsWorld.SIDE;
    private static final int GRADIENTS = (SIDE - 1) * (SIDE - 1);

    private final double colorDistance;
    private final double saturation;
    private final double contrast;
    private final float[] gradients;

    Measures(List<RgbPicture> pictures) {
      gradients = new float[pictures.size() * GRADIENTS];
      double distance = 0;
      double chroma = 0;
      double deviation = 0;
      double[] luma = new double[SIDE * SIDE];
      for (int i = 0; i < pictures.size(); i++) {
        byte[] bytes = PanelsReader.sized(pictures.get(i)).bytes();
        for (int pixel = 0; pixel < luma.length; pixel++) {
          int r = bytes[3 * pixel] & 255;
          int g = bytes[3 * pixel + 1] & 255;
          int b = bytes[3 * pixel + 2] & 255;
          distance += PanelsWorld.distanceToPalette(r, g, b);
          chroma += Math.max(r, Math.max(g, b)) - Math.min(r, Math.min(g, b));
          luma[pixel] = 0.299 * r + 0.587 * g + 0.114 * b;
        }
        deviation += new StandardDeviation(false).evaluate(luma);
        putGradients(luma, i * GRADIENTS);
      }
      double pixels = (double) luma.length * pictures.size();
      colorDistance = distance / pixels;
      saturation = chroma / pixels;
      contrast = deviation / pictures.size();
    }

    private void putGradients(double[] luma, int at) {
      int next = at;
      for (int y = 0; y + 1 < SIDE; y++) {
        for (int x = 0; x + 1 < SIDE; x++) {
          double here = luma[y * SIDE + x];
          gradients[next++] =
              (float) Math.hypot(luma[y * SIDE + x + 1] - here, luma[(y + 1) * SIDE + x] - here);
        }
      }
    }
  }
}
