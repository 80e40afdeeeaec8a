package dev.longalign.cli.verify;

import com.google.gson.JsonElement;
import dev.longalign.LongAlignException;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.model.PreparedContext;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * {@code unet/forward}: what the UNet predicts at several timesteps, and for inputs of other sizes.
 */
final class UNetCases implements CaseSource {
  private static final String AREA = "unet";
  private static final String OUT = "out_";

  private final Bench bench;
  private final Vectors vectors;
  private UNet2DCondition unet;

  UNetCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
  }

  @Override
  public List<VerifyCase> cases() {
    List<VerifyCase> cases = new ArrayList<>();
    Map<String, JsonElement> timesteps = Values.entries(vectors.value("timesteps"));
    for (String name : vectors.names()) {
      String path = vectors.name() + "." + name;
      String input = name.replaceAll("out$", "sample");
      if (name.startsWith(OUT) && timesteps.containsKey(name.substring(OUT.length()))) {
        JsonElement timestep = timesteps.get(name.substring(OUT.length()));
        cases.add(new VerifyCase(AREA, path, c -> forward(name, "sample", timestep, c)));
      } else if (name.endsWith("_out") && vectors.has(input)) {
        cases.add(new VerifyCase(AREA, path, c -> other(name, input, c)));
      } else if (!name.equals("context") && !name.endsWith("sample")) {
        cases.add(VerifyCase.skipped(AREA, path, "unknown case"));
      }
    }
    return cases;
  }

  private void forward(String name, String input, JsonElement timestep, Comparison comparison) {
    Tensor sample = vectors.nhwc(bench.backend(), input);
    comparison.closeNhwc(
        vectors, name, run(sample, Values.floats(timestep, sample.dim(0))), Comparison.F32);
  }

  /** An input of another size; the JSON file's text says at which timestep. */
  private void other(String name, String input, Comparison comparison) {
    Tensor sample = vectors.nhwc(bench.backend(), input);
    float timestep = timestep(vectors.meaning(name) + "\n" + vectors.prose());
    float[] timesteps = new float[sample.dim(0)];
    Arrays.fill(timesteps, timestep);
    comparison.closeNhwc(vectors, name, run(sample, timesteps), Comparison.F32);
  }

  private Tensor run(Tensor sample, float[] timesteps) {
    if (unet == null) {
      unet = load(bench, vectors);
    }
    PreparedContext context = unet.prepareContext(vectors.tensor(bench.backend(), "context"));
    return unet.forward(sample, timesteps, context.rows(0, sample.dim(0)));
  }

  static UNet2DCondition load(Bench bench, Vectors vectors) {
    Path component = bench.part(vectors, "unet");
    return UNet2DCondition.load(
        config(component), Bench.weights(component), bench.backend(), DType.F32);
  }

  static UNet2DConditionConfig config(Path component) {
    return UNet2DConditionConfig.of(ComponentDirectory.open(component).config());
  }

  /** The first timestep that a text speaks of. */
  static float timestep(String text) {
    return Values.found("timestep (\\d+(?:\\.\\d+)?)", text).stream()
        .findFirst()
        .map(Float::parseFloat)
        .orElseThrow(
            () -> new LongAlignException("expected a text with 'timestep N', found: " + text));
  }

  @Override
  public void close() {
    if (unet != null) {
      unet.close();
    }
  }
}
