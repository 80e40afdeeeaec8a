package dev.longalign.cli.verify;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.tensor.Shape;
import java.util.Map;

/**
 * Comparisons of what a training step gives, by the names of parameters, with stored tensors and
 * digests.
 */
final class TrainingChecks {
  static final String GRADIENT = "grad:";

  private final Vectors vectors;
  private final Comparison comparison;

  TrainingChecks(Vectors vectors, Comparison comparison) {
    this.vectors = vectors;
    this.comparison = comparison;
  }

  /** A loss; {@code float64} is the reference's in f64, or NaN. */
  void loss(String what, double expected, double float64, double found) {
    double rounding = Double.isNaN(float64) ? 0 : Math.abs(expected - float64);
    comparison.close(what, expected, found, Comparison.atLeast(Comparison.LOSS, rounding));
  }

  /** The norm of all gradients together. */
  void norm(String what, double expected, double found) {
    comparison.close(what, expected, found, Comparison.GRADIENT * expected);
  }

  /** Every stored gradient, and every digest of one. */
  void gradients(Map<String, float[]> found) {
    for (String name : vectors.names()) {
      if (name.startsWith(GRADIENT)) {
        Shape shape = vectors.shape(name);
        comparison.close(
            name,
            shape,
            vectors.floats(name),
            shape,
            of(found, name.substring(GRADIENT.length())),
            Comparison.GRADIENT,
            vectors.float64Difference(name));
      }
    }
    if (vectors.hasValue("grad_digests")) {
      JsonObject recorded = vectors.value("grad_digests").getAsJsonObject();
      JsonObject digests = recorded.getAsJsonObject("digests");
      for (String name : digests.keySet()) {
        JsonObject expected = digests.getAsJsonObject(name);
        float[] values = of(found, name);
        double rounding = rounding(recorded, name);
        Digest.of(values)
            .check(
                "gradient of " + name,
                expected,
                values.length,
                Comparison.atLeast(
                    Comparison.GRADIENT * expected.get("l2").getAsDouble(),
                    rounding * Math.sqrt(values.length)),
                Comparison.atLeast(
                    Comparison.GRADIENT * expected.get("max_abs").getAsDouble(), rounding),
                comparison);
      }
    }
  }

  /**
   * Every stored value after optimiser steps.
   *
   * @param prefix of the tensors
   * @param rounding how far rounding takes the worst of all values
   */
  void parameters(String prefix, double rounding, Map<String, float[]> found) {
    for (String name : vectors.names()) {
      if (name.startsWith(prefix)) {
        Shape shape = vectors.shape(name);
        comparison.closeWithin(
            name,
            shape,
            vectors.floats(name),
            shape,
            of(found, name.substring(prefix.length())),
            Comparison.atLeast(
                Comparison.PARAMETER, Math.max(rounding, vectors.float64Difference(name))));
      }
    }
  }

  /** Every digest of a value after optimiser steps. */
  void parameters(JsonObject digests, JsonObject recorded, double all, Map<String, float[]> found) {
    for (String name : digests.keySet()) {
      float[] values = of(found, name);
      double rounding = Math.max(all, rounding(recorded, name));
      double allowed = Comparison.atLeast(Comparison.PARAMETER, rounding);
      Digest.of(values)
          .check(
              name + " after",
              digests.getAsJsonObject(name),
              values.length,
              allowed * Math.sqrt(values.length),
              allowed,
              comparison);
    }
  }

  private static double rounding(JsonObject recorded, String name) {
    JsonElement all = recorded.get("float64_max_abs_diff");
    JsonElement one = all != null && all.isJsonObject() ? all.getAsJsonObject().get(name) : all;
    return one == null || one.isJsonNull() ? 0 : one.getAsDouble();
  }

  /** What was found for a parameter; a name that is none here fails, with nothing found. */
  private static float[] of(Map<String, float[]> found, String name) {
    return found.getOrDefault(name, new float[0]);
  }
}
