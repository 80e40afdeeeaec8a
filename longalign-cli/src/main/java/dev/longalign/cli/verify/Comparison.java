package dev.longalign.cli.verify;

import dev.longalign.cli.verify.CaseResult.Where;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.Arrays;
import java.util.Objects;

/** Collects the comparisons of one case and remembers the worst. */
final class Comparison {
  /** Of a tensor's largest magnitude, for what is computed in f32. */
  static final double F32 = 1e-4;

  /** The same from a prompt to its picture. */
  static final double END_TO_END = 1e-3;

  /** Of a loss, absolute. */
  static final double LOSS = 1e-5;

  /** Of a gradient, per unit of the tensor's largest magnitude. */
  static final double GRADIENT = 1e-3;

  /** Of a parameter after optimiser steps, absolute. */
  static final double PARAMETER = 1e-5;

  /**
   * How many times the reference's own rounding error is allowed at least, whatever the kind of
   * value. An optimiser divides a gradient by its own size: where that is nearly zero, rounding
   * decides where a parameter goes, and any two implementations differ.
   */
  static final double ROUNDINGS = 8;

  /** What is allowed where {@code allowed} is wanted and rounding alone makes {@code rounding}. */
  static double atLeast(double allowed, double rounding) {
    return Math.max(allowed, ROUNDINGS * rounding);
  }

  private Double error;
  private Double tolerance;
  private Where where;
  private String message;
  private int failures;

  boolean passed() {
    return message == null && error != null;
  }

  Double error() {
    return error;
  }

  Double tolerance() {
    return tolerance;
  }

  Where where() {
    return where;
  }

  String message() {
    if (error == null && message == null) {
      return "nothing was compared";
    }
    return failures > 1 ? message + " (and " + (failures - 1) + " more)" : message;
  }

  /** A tensor in the layout it is stored in. */
  void close(Vectors vectors, String name, Tensor got, double relative) {
    close(
        name,
        vectors.shape(name),
        vectors.floats(name),
        got.shape(),
        got.toFloats(),
        relative,
        vectors.float64Difference(name));
  }

  /** An [B, H, W, C] tensor with one stored as [B, C, H, W]. */
  void closeNhwc(Vectors vectors, String name, Tensor got, double relative) {
    close(
        name,
        vectors.shape(name),
        vectors.floats(name),
        Layouts.nchw(got.shape()),
        Layouts.toNchw(got),
        relative,
        vectors.float64Difference(name));
  }

  /**
   * Passes if no value is further off than {@code relative} of the largest expected magnitude, or
   * than {@value #ROUNDINGS} times the reference's own distance to f64.
   */
  void close(
      String what,
      Shape shape,
      float[] expected,
      Shape gotShape,
      float[] got,
      double relative,
      double float64Difference) {
    double allowed = atLeast(relative * magnitude(expected), float64Difference);
    closeWithin(what, shape, expected, gotShape, got, allowed);
  }

  private static double magnitude(float[] values) {
    double magnitude = 0;
    for (float value : values) {
      if (Float.isFinite(value)) {
        magnitude = Math.max(magnitude, Math.abs(value));
      }
    }
    return magnitude;
  }

  /** Passes if no value is further off than {@code allowed}. */
  void closeWithin(
      String what, Shape shape, float[] expected, Shape gotShape, float[] got, double allowed) {
    if (!shape.equals(gotShape) || expected.length != got.length) {
      fail(1, 0, new Where(what, "shape", shape.toString(), gotShape.toString()));
      return;
    }
    double magnitude = magnitude(expected);
    int worst = 0;
    double largest = 0;
    for (int i = 0; i < expected.length; i++) {
      double off = distance(expected[i], got[i]);
      if (off > largest) {
        largest = off;
        worst = i;
      }
    }
    double unit = magnitude == 0 ? 1 : magnitude;
    if (largest > allowed) {
      fail(
          largest / unit,
          allowed / unit,
          new Where(what, index(shape, worst), expected[worst], got[worst]));
    } else {
      pass(largest / unit, allowed / unit);
    }
  }

  /** Bytes that may be {@code most} apart. */
  void closeBytes(
      String what, Shape shape, float[] expected, Shape gotShape, float[] got, int most) {
    close(what, shape, expected, gotShape, got, 0, most / ROUNDINGS);
  }

  /** A number that may be {@code allowed} off. */
  void close(String what, double expected, double got, double allowed) {
    double off = Math.abs(expected - got);
    double unit = expected == 0 ? 1 : Math.abs(expected);
    if (off <= allowed) {
      pass(off / unit, allowed / unit);
    } else {
      fail(off / unit, allowed / unit, new Where(what, "", expected, got));
    }
  }

  /** Must be equal. */
  void same(String what, Object expected, Object got) {
    if (Objects.equals(expected, got)) {
      pass(0, 0);
    } else {
      fail(1, 0, new Where(what, "", printable(expected), printable(got)));
    }
  }

  /** Must be equal, element by element. */
  void same(String what, int[] expected, int[] got) {
    int differing = Math.abs(expected.length - got.length);
    int common = Math.min(expected.length, got.length);
    int first = differing == 0 ? -1 : common;
    for (int i = common - 1; i >= 0; i--) {
      if (expected[i] != got[i]) {
        first = i;
        differing++;
      }
    }
    if (first < 0) {
      pass(0, 0);
      return;
    }
    double part = (double) differing / Math.max(expected.length, got.length);
    Object wanted = first < expected.length ? expected[first] : "the end";
    Object found = first < got.length ? got[first] : "the end";
    fail(part, 0, new Where(what, "[" + first + "]", wanted, found));
  }

  /** Must be equal, row by row. */
  void same(String what, int[][] expected, int[][] got) {
    same(what + " rows", expected.length, got.length);
    for (int i = 0; i < Math.min(expected.length, got.length); i++) {
      same(what + "[" + i + "]", expected[i], got[i]);
    }
  }

  /** Fails for a reason that is no number. */
  void wrong(String what) {
    failures++;
    message = message == null ? what : message;
    error = error == null ? Double.valueOf(1) : error;
    tolerance = tolerance == null ? Double.valueOf(0) : tolerance;
  }

  private void pass(double found, double allowed) {
    if (message == null
        && (error == null || closeness(found, allowed) > closeness(error, tolerance))) {
      error = found;
      tolerance = allowed;
    }
  }

  private void fail(double found, double allowed, Where place) {
    failures++;
    if (message == null || closeness(found, allowed) > closeness(error, tolerance)) {
      error = found;
      tolerance = allowed;
      where = place;
      message =
          place.tensor()
              + (place.index().isEmpty() ? "" : " at " + place.index())
              + ": expected "
              + place.expected()
              + ", got "
              + place.got();
    }
  }

  /** How near to (or beyond) its tolerance an error is. */
  static double closeness(double found, double allowed) {
    return allowed == 0 ? (found == 0 ? 0 : Double.POSITIVE_INFINITY) : found / allowed;
  }

  private static double distance(float expected, float got) {
    if (Float.compare(expected, got) == 0 || expected == got) {
      return 0;
    }
    double off = Math.abs((double) got - expected);
    return Double.isNaN(off) ? Double.POSITIVE_INFINITY : off;
  }

  private static String printable(Object value) {
    String text = value instanceof Object[] array ? Arrays.toString(array) : String.valueOf(value);
    return text.length() > 200 ? text.substring(0, 200) + "..." : text;
  }

  private static String index(Shape shape, int i) {
    long[] index = shape.toArray();
    long rest = i;
    for (int axis = index.length - 1; axis >= 0; axis--) {
      long extent = index[axis];
      index[axis] = rest % extent;
      rest /= extent;
    }
    return Arrays.toString(index);
  }
}
