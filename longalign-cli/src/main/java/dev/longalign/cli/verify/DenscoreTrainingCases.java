package dev.longalign.cli.verify;

import dev.longalign.autograd.AutogradBackend;
import dev.longalign.autograd.Gradients;
import dev.longalign.io.Config;
import dev.longalign.model.ClipConfig;
import dev.longalign.model.TrainableClip;
import dev.longalign.model.TrainableParameter;
import dev.longalign.nn.Parameter;
import dev.longalign.nn.WeightSource;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.training.DenscoreObjective;
import dev.longalign.training.Loss;
import dev.longalign.training.StepInputs;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * {@code denscore/training}: the features of both of CLIP's towers in training, the loss, and the
 * gradient of every parameter.
 */
final class DenscoreTrainingCases implements CaseSource {
  private static final double FEATURES = 1e-4;
  private static final double LOSS = 1e-5;
  private static final double GRADIENT = 1e-3;

  private final Bench bench;
  private final Vectors vectors;
  private TrainableClip clip;

  DenscoreTrainingCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
  }

  @Override
  public List<VerifyCase> cases() {
    return List.of(new VerifyCase("denscore", vectors.name() + ".step", this::run));
  }

  private void run(Comparison comparison) {
    AutogradBackend autograd = new AutogradBackend(bench.backend(), true);
    Config config = Config.of(vectors.name(), vectors.value("config").getAsJsonObject());
    clip = TrainableClip.load(ClipConfig.of(config), new Stored(vectors), autograd, DType.F32);
    int[][] ids = Values.intRows(vectors.value("ids"));
    Tensor pixels = vectors.nhwc(autograd, "pixels");
    comparison.close(vectors, "text_features", clip.textFeatures(List.of(ids)), FEATURES);
    comparison.close(vectors, "image_features", clip.imageFeatures(pixels), FEATURES);
    DenscoreObjective.Settings settings =
        new DenscoreObjective.Settings(
            vectors.value("omega").getAsDouble(), vectors.value("segment_weight").getAsDouble());
    Loss loss =
        new DenscoreObjective(clip, autograd, null, null, settings).loss(inputs(ids, pixels));
    comparison.close("loss", vectors.value("loss").getAsDouble(), loss.value(), LOSS);
    Gradients gradients = loss.backward(autograd, 1);
    for (TrainableParameter p : clip.parameters()) {
      comparison.close(vectors, "grad:" + p.name(), gradients.of(p.value()), GRADIENT);
    }
  }

  private StepInputs inputs(int[][] ids, Tensor pixels) {
    int longest = Arrays.stream(ids).mapToInt(row -> row.length).max().orElse(0);
    return new StepInputs(
        List.of(vectors.name()),
        Map.of("pixels", pixels),
        Map.of(
            "ids",
            Arrays.stream(ids)
                .flatMapToInt(row -> Arrays.stream(Arrays.copyOf(row, longest)))
                .toArray(),
            "lengths",
            Arrays.stream(ids).mapToInt(row -> row.length).toArray(),
            "captions",
            Values.ints(vectors.value("captions")),
            "sizes",
            Values.ints(vectors.value("sizes")),
            "members",
            Values.ints(vectors.value("members"))));
  }

  /** The file's own weights. */
  private record Stored(Vectors vectors) implements WeightSource {
    @Override
    public void check(List<Parameter> declared) {
      declared.forEach(p -> vectors.stored("weight:" + p.name()).expect(p.shape()));
    }

    @Override
    public Tensor load(Backend backend, Parameter parameter) {
      return vectors.tensor(backend, "weight:" + parameter.name());
    }
  }

  @Override
  public void close() {
    if (clip != null) {
      clip.close();
    }
  }
}
