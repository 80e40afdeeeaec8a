package dev.longalign.cli.verify;

import com.google.gson.JsonObject;
import dev.longalign.preference.CaptionFeatures;
import dev.longalign.preference.CommonDirection;
import dev.longalign.preference.CosineScore;
import dev.longalign.preference.Crop;
import dev.longalign.preference.EtaStatistics;
import dev.longalign.preference.Features;
import dev.longalign.preference.PictureBatch;
import dev.longalign.preference.PictureScorer;
import dev.longalign.preference.PixelValues;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/** {@code denscore/}: scores, their decomposition, and gradients with respect to the picture. */
final class DenscoreCases implements CaseSource {
  private static final String AREA = "denscore";
  private static final Pattern OMEGA = Pattern.compile(".*_w(\\d+(?:\\.\\d+)?)");
  private static final Pattern ROWS = Pattern.compile("(grad_image_(\\d+))(?:_rows|_digest)");

  /** Of the reference's calls that name no weight. */
  private static final double DEFAULT_OMEGA = CommonDirection.DEFAULT_OMEGA;

  private final Bench bench;
  private final Vectors vectors;
  private State state;

  /** What most cases need; computed once. */
  private record State(
      PreferenceModel model,
      PictureBatch pictures,
      Crop crop,
      PixelValues prepared,
      Features images,
      List<CaptionFeatures> captions,
      List<CaptionFeatures> wholes,
      PictureScorer.Gradient gradient) {}

  DenscoreCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
  }

  @Override
  public List<VerifyCase> cases() {
    List<String> names = new ArrayList<>(vectors.values());
    names.addAll(vectors.names());
    names.removeAll(List.of("captions", "crop_offset", "image_u8"));
    List<VerifyCase> cases = new ArrayList<>();
    for (String name : names) {
      VerifyCase.Body body = body(name);
      String path = vectors.name() + "." + name;
      cases.add(
          body == null
              ? VerifyCase.skipped(AREA, path, "unknown case")
              : new VerifyCase(AREA, path, body));
    }
    return cases;
  }

  private VerifyCase.Body body(String name) {
    Map<String, VerifyCase.Body> known = new LinkedHashMap<>();
    known.put("segments", c -> c.same(name, Values.texts(vectors.value(name)), segments()));
    known.put(
        "segment_owner",
        c -> c.same(name, Values.ints(vectors.value(name)), owners(state().captions)));
    known.put("mean", c -> statistics(name, state().model.preprocessing().mean(), c));
    known.put("std", c -> statistics(name, state().model.preprocessing().std(), c));
    known.put("score_of_gradient", this::scoresOfGradient);
    known.put("eta_statistics", this::etaStatistics);
    known.put("segment_ids", c -> ids(name, segments(), c));
    known.put("caption_ids", c -> ids(name, texts(), c));
    known.put("prepared", c -> prefix(name, state().prepared.values(), c));
    known.put("image_features", c -> prefix(name, state().images.values(), c));
    known.put("segment_embeds", c -> prefix(name, segmentFeatures(), c));
    known.put("caption_embeds", c -> prefix(name, means(state().wholes).values(), c));
    known.put("segment_means", c -> prefix(name, means(state().captions).values(), c));
    known.put("common_direction", c -> prefix(name, common(state().captions).vector(), c));
    known.put("eta", c -> prefix(name, floats(etas()), c));
    known.put("dense_split_logits", c -> logits(name, state().captions.get(0).features(), c));
    if (known.containsKey(name)) {
      return known.get(name);
    } else if (ROWS.matcher(name).matches()) {
      return c -> gradient(name, c);
    } else if (name.startsWith("dense_logits_")) {
      return c -> logits(name, reweighted(state().captions, omega(name)), c);
    } else if (name.startsWith("dense_")) {
      return c -> diagonal(name, reweighted(first(state().captions), omega(name)), c);
    } else if (name.matches("(pick|clip|hps)_(plain|ortho)")) {
      return c -> diagonal(name, reweighted(first(state().wholes), omega(name)), c);
    }
    return null;
  }

  /** 1, which changes nothing, for plain scores. */
  private static double omega(String name) {
    Matcher matcher = OMEGA.matcher(name);
    if (matcher.matches()) {
      return Double.parseDouble(matcher.group(1));
    }
    return name.endsWith("plain") ? 1 : DEFAULT_OMEGA;
  }

  private State state() {
    if (state == null) {
      PreferenceModel model =
          PreferenceModel.open(bench.part(vectors, "denscore"), bench.threads());
      try {
        state = compute(model);
      } finally {
        if (state == null) {
          model.close();
        }
      }
    }
    return state;
  }

  private State compute(PreferenceModel model) {
    Tensor bytes = vectors.nhwc(bench.backend(), "image_u8");
    float[] unit = bytes.toFloats();
    for (int i = 0; i < unit.length; i++) {
      unit[i] /= 255;
    }
    PictureBatch pictures = new PictureBatch(unit, bytes.dim(0), bytes.dim(1), bytes.dim(2));
    int[] offset = Values.ints(vectors.value("crop_offset"));
    int side = Crop.side(pictures.height(), pictures.width(), model.preprocessing().size());
    for (String said : Values.found("crop (\\d+)x\\d+", vectors.prose())) {
      side = Integer.parseInt(said);
    }
    Crop crop = new Crop(offset[0], offset[1], side);
    PixelValues prepared = model.preprocessing().prepare(pictures, crop);
    PictureScorer scorer = PictureScorer.denscore(model);
    List<CaptionFeatures> captions = scorer.captions(texts());
    Features texts = reweighted(captions.subList(0, pictures.count()), DEFAULT_OMEGA);
    return new State(
        model,
        pictures,
        crop,
        prepared,
        model.imageFeatures(prepared),
        captions,
        PictureScorer.whole(model).captions(texts()),
        scorer.gradient(pictures, crop, texts));
  }

  private List<String> texts() {
    return Values.texts(vectors.value("captions"));
  }

  private List<String> segments() {
    return segments(state().captions);
  }

  /** The segments of all captions. */
  static List<String> segments(List<CaptionFeatures> captions) {
    return captions.stream().flatMap(caption -> caption.segments().stream()).toList();
  }

  /** The caption that each of the segments is of. */
  static int[] owners(List<CaptionFeatures> captions) {
    return IntStream.range(0, captions.size())
        .flatMap(i -> captions.get(i).segments().stream().mapToInt(segment -> i))
        .toArray();
  }

  private void ids(String name, List<String> texts, Comparison comparison) {
    Tokenizer tokenizer = state().model.tokenizer();
    int[][] expected = Values.intRows(vectors.stored(name));
    int columns = vectors.shape(name).intDim(1);
    comparison.same(
        name,
        expected,
        Tokenizer.pad(tokenizer.encodeAll(texts), columns, tokenizer.padId(), tokenizer.eosId()));
  }

  private void statistics(String name, List<Float> got, Comparison comparison) {
    float[] expected = Values.floats(vectors.value(name), got.size());
    for (int i = 0; i < expected.length; i++) {
      comparison.close(name + "[" + i + "]", expected[i], got.get(i), 1e-7);
    }
  }

  /** The recording holds the first rows of what was computed. */
  private void prefix(String name, float[] got, Comparison comparison) {
    Shape shape = vectors.shape(name);
    float[] rows = Arrays.copyOf(got, (int) Math.min(got.length, shape.size()));
    float[] expected = vectors.floats(name);
    comparison.close(
        name, shape, expected, shape, rows, Comparison.F32, vectors.float64Difference(name));
  }

  private float[] segmentFeatures() {
    List<float[]> rows = new ArrayList<>();
    for (CaptionFeatures caption : state().captions) {
      for (int i = 0; i < caption.features().count(); i++) {
        rows.add(caption.features().row(i));
      }
    }
    return Features.of(rows).values();
  }

  private static Features means(List<CaptionFeatures> captions) {
    return PictureScorer.texts(captions);
  }

  private static CommonDirection common(List<CaptionFeatures> captions) {
    return CommonDirection.of(means(captions));
  }

  private List<CaptionFeatures> first(List<CaptionFeatures> captions) {
    return captions.subList(0, state().pictures.count());
  }

  private static Features reweighted(List<CaptionFeatures> captions, double omega) {
    CommonDirection common = common(captions);
    return Features.of(
        captions.stream().map(caption -> common.reweighted(caption.text(), omega)).toList());
  }

  private double[] etas() {
    CommonDirection common = common(state().captions);
    return state().captions.stream().mapToDouble(c -> common.eta(c.text())).toArray();
  }

  private void etaStatistics(Comparison comparison) {
    JsonObject expected = vectors.value("eta_statistics").getAsJsonObject();
    EtaStatistics got = EtaStatistics.of(etas());
    Map<String, Double> numbers =
        Map.of(
            "mean", got.mean(),
            "std_unbiased", got.standardDeviation(),
            "min", got.min(),
            "max", got.max());
    for (String key : expected.keySet()) {
      comparison.close(
          "eta " + key,
          expected.get(key).getAsDouble(),
          numbers.getOrDefault(key, Double.NaN),
          1e-5);
    }
  }

  private void logits(String name, Features texts, Comparison comparison) {
    double[][] scores = CosineScore.all(texts, state().images);
    prefix(
        name, floats(Arrays.stream(scores).flatMapToDouble(Arrays::stream).toArray()), comparison);
  }

  private void diagonal(String name, Features texts, Comparison comparison) {
    double[][] scores = CosineScore.all(texts, state().images);
    double[] diagonal = new double[scores.length];
    for (int i = 0; i < diagonal.length; i++) {
      diagonal[i] = scores[i][i];
    }
    prefix(name, floats(diagonal), comparison);
  }

  private void scoresOfGradient(Comparison comparison) {
    double[] got = state().gradient.scores();
    float[] expected = Values.floats(vectors.value("score_of_gradient"), got.length);
    for (int i = 0; i < expected.length; i++) {
      comparison.close("score of picture " + i, expected[i], got[i], 1e-5);
    }
  }

  private void gradient(String name, Comparison comparison) {
    Matcher matcher = ROWS.matcher(name);
    if (!matcher.matches()) {
      throw new IllegalArgumentException(name);
    }
    float[] got = channelsFirst(Integer.parseInt(matcher.group(2)));
    PictureBatch gradient = state().gradient.gradient();
    if (name.endsWith("_digest")) {
      Digest.of(got).check(name, vectors.value(name).getAsJsonObject(), comparison);
      return;
    }
    List<String> step = Values.found("rows 0, (\\d+)", vectors.meaning(name));
    Shape shape = vectors.shape(name);
    int every =
        step.isEmpty()
            ? (gradient.height() + shape.intDim(1) - 1) / shape.intDim(1)
            : Integer.parseInt(step.get(0));
    int width = gradient.width();
    float[] rows = new float[Math.toIntExact(shape.size())];
    for (int i = 0; i < rows.length; i++) {
      int row = i / width % shape.intDim(1) * every;
      int channel = i / width / shape.intDim(1);
      rows[i] = got[(channel * gradient.height() + row) * width + i % width];
    }
    prefix(name, rows, comparison);
  }

  /** The gradient of one picture as [3, H, W]. */
  private float[] channelsFirst(int picture) {
    PictureBatch gradient = state().gradient.gradient();
    int pixels = gradient.height() * gradient.width();
    float[] values = new float[3 * pixels];
    for (int i = 0; i < values.length; i++) {
      values[i] = gradient.values()[(picture * pixels + i % pixels) * 3 + i / pixels];
    }
    return values;
  }

  private static float[] floats(double[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    return floats;
  }

  @Override
  public void close() {
    if (state != null) {
      state.model.close();
    }
  }
}
