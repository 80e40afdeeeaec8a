package dev.longalign.text;

/**
 * What a text encoder returns: [sequences, length, width], row-major f32.
 *
 * @param values sequences * length * width numbers
 */
public record HiddenStates(float[] values, int sequences, int length, int width) {
  public HiddenStates {
    if (values.length != (long) sequences * length * width) {
      throw new IllegalArgumentException(
          values.length + " values do not fill [" + sequences + ", " + length + ", " + width + "]");
    }
  }
}
