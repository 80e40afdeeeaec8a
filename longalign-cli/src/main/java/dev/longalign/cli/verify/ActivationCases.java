package dev.longalign.cli.verify;

import com.google.gson.JsonElement;
import dev.longalign.model.FirstAttentionProbe;
import dev.longalign.model.FirstAttentionProbe.Activations;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * {@code unet/activations}: what the layers inside the UNet compute for one case of the forwards.
 */
final class ActivationCases implements CaseSource {
  private static final String AREA = "unet";
  private static final String HEADS = "heads_of_first_attention";

  private final Bench bench;
  private final Vectors vectors;
  private final TensorScope owner = TensorScope.detached();
  private Activations activations;

  ActivationCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
  }

  @Override
  public List<VerifyCase> cases() {
    List<VerifyCase> cases = new ArrayList<>();
    if (vectors.hasValue(HEADS)) {
      cases.add(
          new VerifyCase(
              AREA,
              vectors.name() + "." + HEADS,
              c -> c.same(HEADS, vectors.value(HEADS).getAsInt(), activations().heads())));
    }
    for (String name : vectors.names()) {
      cases.add(new VerifyCase(AREA, vectors.name() + "." + name, c -> check(name, c)));
    }
    return cases;
  }

  private void check(String name, Comparison comparison) {
    if (name.endsWith("_softmax_b0_first_head")) {
      softmax(name, name.substring(0, name.indexOf('_')), comparison);
      return;
    }
    Tensor got = activations().values().get(name);
    if (got == null) {
      throw new VerifyCase.Skipped("unknown case");
    }
    if (got.shape().rank() == 4) {
      comparison.closeNhwc(vectors, name, got, Comparison.F32);
    } else {
      comparison.close(vectors, name, got, Comparison.F32);
    }
  }

  /** The fused attention keeps no scores, so they are computed from its queries and keys here. */
  private void softmax(String name, String layer, Comparison comparison) {
    Tensor queries = activations().values().get(layer + "_q");
    Tensor keys = activations().values().get(layer + "_k");
    int channels = queries.dim(2);
    int headDim = channels / activations().heads();
    int rows = vectors.shape(name).intDim(0);
    int columns = keys.dim(1);
    float[] q = queries.toFloats();
    float[] k = keys.toFloats();
    float[] softmax = new float[rows * columns];
    for (int i = 0; i < rows; i++) {
      double[] scores = new double[columns];
      for (int j = 0; j < columns; j++) {
        for (int d = 0; d < headDim; d++) {
          scores[j] += (double) q[i * channels + d] * k[j * channels + d] / Math.sqrt(headDim);
        }
      }
      double most = Arrays.stream(scores).max().orElse(0);
      double sum = Arrays.stream(scores).map(s -> Math.exp(s - most)).sum();
      for (int j = 0; j < columns; j++) {
        softmax[i * columns + j] = (float) (Math.exp(scores[j] - most) / sum);
      }
    }
    comparison.close(
        name,
        vectors.shape(name),
        vectors.floats(name),
        vectors.shape(name).with(1, columns),
        softmax,
        Comparison.F32,
        vectors.float64Difference(name));
  }

  private Activations activations() {
    if (activations == null) {
      Vectors forward = vectors.beside("forward");
      try (UNet2DCondition unet = UNetCases.load(bench, forward);
          TensorScope scope = TensorScope.open()) {
        Tensor sample = forward.nhwc(bench.backend(), "sample");
        activations =
            FirstAttentionProbe.of(
                unet,
                sample,
                timesteps(forward, sample.dim(0)),
                unet.prepareContext(forward.tensor(bench.backend(), "context")));
        activations.values().values().forEach(owner::adopt);
      }
    }
    return activations;
  }

  /**
   * Those of the forward with the same output; if there is none, of the one that the title names.
   */
  private float[] timesteps(Vectors forward, int batch) {
    Map<String, JsonElement> all = Values.entries(forward.value("timesteps"));
    for (Map.Entry<String, JsonElement> entry : all.entrySet()) {
      String out = "out_" + entry.getKey();
      if (vectors.has("output")
          && forward.has(out)
          && Arrays.equals(vectors.floats("output"), forward.floats(out))) {
        return Values.floats(entry.getValue(), batch);
      }
    }
    return Values.found("case (\\w+)", vectors.prose()).stream()
        .filter(all::containsKey)
        .findFirst()
        .map(name -> Values.floats(all.get(name), batch))
        .orElseThrow(() -> new VerifyCase.Skipped("the title names none of the forwards"));
  }

  @Override
  public void close() {
    owner.close();
  }
}
