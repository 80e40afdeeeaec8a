package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonObject;
import dev.longalign.model.TrainableParameter;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Tensor;
import java.util.Map;

/** Compares gradients and parameters with stored tensors and digests. */
final class GradientChecks {
  private GradientChecks() {}

  /** Every stored gradient and digest to 1e-3 relative; returns the largest relative error. */
  static double gradients(Golden golden, Map<String, Tensor> found) {
    double worst = 0;
    for (String name : golden.names()) {
      if (name.startsWith("grad:")) {
        float[] expected = golden.floats(name);
        float[] actual = found.get(name.substring("grad:".length())).toFloats();
        double error = error(expected, actual) / magnitude(expected);
        assertThat(error).as(name).isLessThanOrEqualTo(1e-3);
        worst = Math.max(worst, error);
      }
    }
    if (golden.values().has("grad_digests")) {
      JsonObject digests = digests(golden.values(), "grad_digests", "digests");
      assertThat(found.keySet()).containsAll(digests.keySet());
      for (String name : digests.keySet()) {
        double l2 = digests.getAsJsonObject(name).get("l2").getAsDouble();
        digest(digests.getAsJsonObject(name), name, found.get(name).toFloats(), 1e-3 * l2);
      }
    }
    return worst;
  }

  /** Every stored value and digest to {@code tolerance} absolute; returns the largest error. */
  static double values(
      Golden golden,
      String prefix,
      JsonObject digests,
      Map<String, TrainableParameter> parameters,
      double tolerance) {
    double worst = 0;
    for (String name : golden.names()) {
      if (prefix != null && name.startsWith(prefix)) {
        float[] actual = parameters.get(name.substring(prefix.length())).value().toFloats();
        double error = error(golden.floats(name), actual);
        assertThat(error).as(name).isLessThanOrEqualTo(tolerance);
        worst = Math.max(worst, error);
      }
    }
    for (String name : digests.keySet()) {
      float[] actual = parameters.get(name).value().toFloats();
      digest(digests.getAsJsonObject(name), name, actual, tolerance * Math.sqrt(actual.length));
    }
    return worst;
  }

  static JsonObject digests(JsonObject values, String key, String inner) {
    return TinyTraining.value(values, key).getAsJsonObject().getAsJsonObject(inner);
  }

  private static double error(float[] expected, float[] actual) {
    assertThat(actual).hasSameSizeAs(expected);
    double error = 0;
    for (int i = 0; i < expected.length; i++) {
      error = Math.max(error, Math.abs((double) expected[i] - actual[i]));
    }
    return error;
  }

  private static double magnitude(float[] expected) {
    double magnitude = 1e-12;
    for (float value : expected) {
      magnitude = Math.max(magnitude, Math.abs(value));
    }
    return magnitude;
  }

  private static void digest(JsonObject digest, String name, float[] values, double tolerance) {
    double squares = 0;
    double max = 0;
    double pattern = 0;
    for (int i = 0; i < values.length; i++) {
      double x = values[i];
      squares += x * x;
      max = Math.max(max, Math.abs(x));
      pattern += x * ((i * 40503L % 65536) / 65536.0 - 0.5);
    }
    close(name + " l2", Math.sqrt(squares), digest.get("l2").getAsDouble(), tolerance);
    close(name + " max_abs", max, digest.get("max_abs").getAsDouble(), tolerance);
    close(name + " pattern", pattern, digest.get("pattern_dot").getAsDouble(), tolerance);
  }

  private static void close(String what, double found, double expected, double tolerance) {
    assertThat(found).as(what).isCloseTo(expected, within(tolerance + 1e-12));
  }
}
