package dev.longalign.preference;

/**
 * What a vision tower reads: normalised pictures [count, 3, size, size], row-major f32.
 *
 * @param values not copied
 */
public record PixelValues(float[] values, int count, int size) {
  public PixelValues {
    if (values.length != 3L * count * size * size) {
      throw new IllegalArgumentException(
          values.length + " values do not fill [" + count + ", 3, " + size + ", " + size + "]");
    }
  }
}
