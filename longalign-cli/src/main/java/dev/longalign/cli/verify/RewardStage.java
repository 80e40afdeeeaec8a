package dev.longalign.cli.verify;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.AutoencoderKLConfig;
import dev.longalign.preference.Crop;
import dev.longalign.preference.Features;
import dev.longalign.preference.PictureBatch;
import dev.longalign.preference.PictureScorer;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.scheduler.DdimSolver;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.training.Loss;
import dev.longalign.training.PictureReward;
import dev.longalign.training.RewardObjective;
import dev.longalign.training.StepInputs;
import dev.longalign.training.Trace;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;

/**
 * {@code reward/}: from noise through all sampling steps, the decoder and the preference model, and
 * back.
 */
final class RewardStage implements TrainingCases.Stage {
  private static final String STEP_NOISE = "step_noise";
  private static final String SUBSAMPLED = "image_sub";

  private final Vectors vectors;
  private PreferenceModel scorer;
  private AutoencoderKL vae;
  private PictureReward reward;
  private TrainingCases.Traced picture;
  private float[] pictureGradient;

  RewardStage(Vectors vectors) {
    this.vectors = vectors;
  }

  @Override
  public boolean trainsAdapter() {
    return false;
  }

  @Override
  public int microBatches() {
    return 1;
  }

  @Override
  public Loss loss(TrainingSetup setup, int microBatch, Trace trace) {
    RewardObjective<Void> objective =
        new RewardObjective<>(
            setup.autograd(),
            setup.unet(),
            UnaryOperator.identity(),
            setup.schedule(),
            reward(setup),
            null,
            settings());
    Loss loss = objective.loss(inputs(setup.autograd(), reward), trace);
    picture =
        new TrainingCases.Traced(
            Layouts.nchw(loss.result().shape()), Layouts.toNchw(loss.result()));
    pictureGradient = Layouts.toNchw(loss.gradient());
    return loss;
  }

  private PictureReward reward(TrainingSetup setup) {
    if (reward == null) {
      Path denscore =
          setup.part(
              "denscore", path -> Files.isRegularFile(path.resolve("preprocessor_config.json")));
      scorer = PreferenceModel.open(denscore, setup.threads());
      Path component = setup.model().resolve("vae");
      vae =
          AutoencoderKL.load(
              AutoencoderKLConfig.of(ComponentDirectory.open(component).config()),
              Bench.weights(component),
              setup.autograd(),
              DType.F32);
      double omega = new TrainingRecipe(vectors).omega();
      reward = new PictureReward(vae, PictureScorer.denscore(scorer), null, omega);
    }
    return reward;
  }

  /** As many steps as the recording lists, every n-th of them differentiated. */
  private RewardObjective.Settings settings() {
    Shape noise = vectors.inputs().shape("noise_init");
    int steps = timesteps().length;
    int[] differentiated = differentiated();
    int every = differentiated.length > 1 ? differentiated[1] - differentiated[0] : steps;
    boolean guided = vectors.hasValue("guidance");
    return new RewardObjective.Settings(
        vectors.name(),
        LcmStage.predictionType(vectors),
        steps,
        every,
        guided ? vectors.value("guidance").getAsFloat() : 1,
        vectors.has(STEP_NOISE),
        noise.intDim(2),
        noise.intDim(3));
  }

  private int[] timesteps() {
    return Values.ints(vectors.value("timesteps"));
  }

  /** Indices of the steps that are. */
  private int[] differentiated() {
    List<Integer> all = Arrays.stream(timesteps()).boxed().toList();
    return Arrays.stream(Values.ints(vectors.value("timesteps_with_gradient")))
        .map(all::indexOf)
        .toArray();
  }

  private StepInputs inputs(Backend backend, PictureReward toPlease) {
    Vectors stored = vectors.inputs();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("noise", stored.nhwc(backend, "noise_init"));
    tensors.put("context", stored.tensor(backend, "context"));
    if (vectors.hasValue("guidance")) {
      tensors.put("unconditional", stored.tensor(backend, "unconditional"));
    }
    tensors.put("texts", toPlease.texts(backend, captions()));
    for (int i = 0; vectors.has(STEP_NOISE) && i < vectors.shape(STEP_NOISE).dim(0); i++) {
      tensors.put(STEP_NOISE + "." + i, vectors.nhwcRow(backend, STEP_NOISE, i));
    }
    return new StepInputs(
        List.of(vectors.name()),
        tensors,
        Map.of("offset", new int[] {differentiated()[0]}, "crop", topLeft()));
  }

  private List<String> captions() {
    return Values.texts(vectors.value("captions"));
  }

  private int[] topLeft() {
    return Values.ints(vectors.value("crop_offset"));
  }

  @Override
  public Map<Set<String>, VerifyCase.Body> more(TrainingCases cases) {
    Map<Set<String>, VerifyCase.Body> more = new LinkedHashMap<>();
    more.put(Set.of("segments"), c -> segments(cases.setup(), c));
    more.put(Set.of("segment_owner"), c -> owners(cases.setup(), c));
    more.put(Set.of("timesteps"), c -> timesteps(cases.setup(), c));
    more.put(Set.of("timesteps_with_gradient"), this::differentiated);
    more.put(Set.of("scores"), c -> scores(cases, c));
    more.put(Set.of("image_digest"), c -> digest("image_digest", cases, c));
    more.put(Set.of("grad_image_digest"), c -> digest("grad_image_digest", cases, c));
    more.put(Set.of(SUBSAMPLED), c -> subsampled(cases, c));
    more.put(Set.of("saturated_fraction"), c -> saturated(cases, c));
    more.put(Set.of("grad_final_x0"), c -> latentsGradient(cases, c));
    return more;
  }

  private void segments(TrainingSetup setup, Comparison comparison) {
    comparison.same(
        "segments",
        Values.texts(vectors.value("segments")),
        DenscoreCases.segments(reward(setup).scorer().captions(captions())));
  }

  private void owners(TrainingSetup setup, Comparison comparison) {
    comparison.same(
        "segment_owner",
        Values.ints(vectors.value("segment_owner")),
        DenscoreCases.owners(reward(setup).scorer().captions(captions())));
  }

  private void timesteps(TrainingSetup setup, Comparison comparison) {
    DdimSolver solver = new DdimSolver(setup.schedule(), timesteps().length);
    comparison.same("timesteps", timesteps(), solver.timesteps());
  }

  /** Those that the objective differentiates. */
  private void differentiated(Comparison comparison) {
    int every = settings().every();
    int offset =
        vectors.hasValue("bp_offset") ? vectors.value("bp_offset").getAsInt() : differentiated()[0];
    int[] timesteps = timesteps();
    int[] found =
        IntStream.range(0, timesteps.length)
            .filter(i -> i % every == offset)
            .map(i -> timesteps[i])
            .toArray();
    comparison.same(
        "timesteps_with_gradient", Values.ints(vectors.value("timesteps_with_gradient")), found);
  }

  private void scores(TrainingCases cases, Comparison comparison) {
    cases.outcome();
    Tensor pictures = Layouts.toNhwc(cases.bench().backend(), picture.shape(), picture.values());
    PictureBatch batch = PictureBatch.of(pictures);
    int side = Crop.side(batch.height(), batch.width(), scorer.preprocessing().size());
    Tensor texts = reward.texts(cases.bench().backend(), captions());
    double[] found =
        reward
            .scorer()
            .gradient(
                batch,
                new Crop(topLeft()[0], topLeft()[1], side),
                new Features(texts.toFloats(), texts.dim(0), texts.dim(1)))
            .scores();
    JsonArray expected = vectors.value("scores").getAsJsonArray();
    comparison.same("scores", expected.size(), found.length);
    for (int i = 0; i < Math.min(expected.size(), found.length); i++) {
      double float64 =
          vectors.hasValue("scores_float64")
              ? vectors.value("scores_float64").getAsJsonArray().get(i).getAsDouble()
              : Double.NaN;
      new TrainingChecks(vectors, comparison)
          .loss("score " + i, expected.get(i).getAsDouble(), float64, found[i]);
    }
  }

  private void digest(String name, TrainingCases cases, Comparison comparison) {
    cases.outcome();
    boolean gradient = name.startsWith("grad");
    float[] values = gradient ? pictureGradient : picture.values();
    JsonObject expected = vectors.value(name).getAsJsonObject();
    double relative = gradient ? Comparison.GRADIENT : Comparison.F32;
    Digest.of(values)
        .check(
            name,
            expected,
            values.length,
            relative * expected.get("l2").getAsDouble(),
            relative * expected.get("max_abs").getAsDouble(),
            comparison);
  }

  /** Every n-th row and column of the picture. */
  private void subsampled(TrainingCases cases, Comparison comparison) {
    cases.outcome();
    Shape all = picture.shape();
    Shape some = vectors.shape(SUBSAMPLED);
    int every =
        Values.found("every (\\d+)", vectors.meaning(SUBSAMPLED)).stream()
            .findFirst()
            .map(Integer::parseInt)
            .orElse((all.intDim(2) + some.intDim(2) - 1) / some.intDim(2));
    float[] found = new float[Math.toIntExact(some.size())];
    int width = some.intDim(3);
    int pixels = some.intDim(2) * width;
    for (int i = 0; i < found.length; i++) {
      int plane = i / pixels;
      int row = i / width % some.intDim(2) * every;
      found[i] =
          picture.values()[(plane * all.intDim(2) + row) * all.intDim(3) + i % width * every];
    }
    comparison.close(
        SUBSAMPLED,
        some,
        vectors.floats(SUBSAMPLED),
        some,
        found,
        Comparison.F32,
        vectors.float64Difference(SUBSAMPLED));
  }

  /** The share of pixels that the clamp has changed; one that lies on the edge may be either. */
  private void saturated(TrainingCases cases, Comparison comparison) {
    cases.outcome();
    int count = 0;
    for (float value : picture.values()) {
      count += value == 0 || value == 1 ? 1 : 0;
    }
    double expected = vectors.value("saturated_fraction").getAsDouble();
    double found = (double) count / picture.values().length;
    double allowed = Math.max(Comparison.LOSS, 1e-2 * expected);
    comparison.close("saturated_fraction", expected, found, allowed);
  }

  private void latentsGradient(TrainingCases cases, Comparison comparison) {
    TrainingCases.Traced x0 = cases.outcome().traced().get("final_x0");
    TrainingSetup setup = cases.setup();
    Tensor latents =
        setup.autograd().variable(Layouts.toNhwc(setup.autograd(), x0.shape(), x0.values()));
    Tensor texts = reward.texts(setup.autograd(), captions());
    Tensor gradient =
        reward.loss(latents, texts, topLeft()).backward(setup.autograd(), 1).of(latents);
    comparison.closeNhwc(vectors, "grad_final_x0", gradient, Comparison.GRADIENT);
  }

  @Override
  public Set<String> inputs() {
    return Set.of(
        "noise_init",
        "context",
        "unconditional",
        STEP_NOISE,
        "captions",
        "crop_offset",
        "bp_offset",
        "guidance",
        "inputs_file",
        "prediction_type",
        "scores_float64");
  }

  @Override
  public void close() {
    if (vae != null) {
      vae.close();
    }
    if (scorer != null) {
      scorer.close();
    }
  }
}
