package dev.longalign.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.preference.CaptionFeatures;
import dev.longalign.preference.CommonDirection;
import dev.longalign.preference.CosineScore;
import dev.longalign.preference.Crop;
import dev.longalign.preference.EtaStatistics;
import dev.longalign.preference.Features;
import dev.longalign.preference.PictureBatch;
import dev.longalign.preference.PictureScore;
import dev.longalign.preference.PictureScorer;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tolerance;
import dev.longalign.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Scores, decomposition and gradients of the reference: golden/denscore. */
class DenscoreGoldenTest {
  private static final Tolerance CLOSE = new Tolerance(2e-5, 1e-3);

  private static Golden golden;
  private static PreferenceModel model;
  private static PictureBatch pictures;
  private static Crop crop;
  private static Features images;
  private static List<CaptionFeatures> captions;
  private static List<CaptionFeatures> wholes;

  @BeforeAll
  static void open() {
    golden = Golden.open("denscore/denscore");
    model = PreferenceModel.open(Golden.folder().resolve("models/tiny-longsd/denscore"), 1);
    float[] bytes = Golden.toNhwc(golden.shape("image_u8"), golden.floats("image_u8"));
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] /= 255;
    }
    Shape shape = Golden.nhwc(golden.shape("image_u8"));
    pictures = new PictureBatch(bytes, shape.intDim(0), shape.intDim(1), shape.intDim(2));
    JsonArray offset = golden.values().getAsJsonObject("crop_offset").getAsJsonArray("value");
    int side = Crop.side(pictures.height(), pictures.width(), model.preprocessing().size());
    crop = new Crop(offset.get(0).getAsInt(), offset.get(1).getAsInt(), side);
    images = model.imageFeatures(model.preprocessing().prepare(pictures, crop));
    captions = PictureScorer.denscore(model).captions(texts("captions"));
    wholes = PictureScorer.whole(model).captions(texts("captions"));
  }

  @AfterAll
  static void close() {
    model.close();
  }

  private static List<String> texts(String key) {
    List<String> texts = new ArrayList<>();
    golden.values().getAsJsonArray(key).forEach(text -> texts.add(text.getAsString()));
    return texts;
  }

  private static void check(String name, float[] found) {
    CLOSE.check(name, golden.shape(name), golden.floats(name), found);
  }

  @Test
  void segmentsAndIds() {
    List<String> segments = captions.stream().flatMap(c -> c.segments().stream()).toList();
    assertThat(segments).isEqualTo(texts("segments"));
    assertThat(ids(segments)).containsExactly(golden.longs("segment_ids"));
    assertThat(ids(texts("captions"))).containsExactly(golden.longs("caption_ids"));
    assertThat(wholes.get(6).cutTokens()).isPositive();
    assertThat(captions.get(6).cutTokens()).isZero();
  }

  private static long[] ids(List<String> texts) {
    Tokenizer tokenizer = model.tokenizer();
    int[][] ids =
        Tokenizer.pad(
            tokenizer.encodeAll(texts), model.window(), tokenizer.padId(), tokenizer.eosId());
    return Arrays.stream(ids).flatMapToInt(Arrays::stream).asLongStream().toArray();
  }

  @Test
  void preparedPicture() {
    float[] prepared = model.preprocessing().prepare(pictures, crop).values();
    float[] expected = golden.floats("prepared");
    CLOSE.check(
        "prepared", golden.shape("prepared"), expected, Arrays.copyOf(prepared, expected.length));
  }

  @Test
  void features() {
    check("image_features", images.values());
    float[] segments = new float[golden.floats("segment_embeds").length];
    int at = 0;
    for (CaptionFeatures caption : captions) {
      System.arraycopy(
          caption.features().values(), 0, segments, at, caption.features().values().length);
      at += caption.features().values().length;
    }
    check("segment_embeds", segments);
    check("caption_embeds", PictureScorer.texts(wholes).values());
    check("segment_means", PictureScorer.texts(captions).values());
  }

  @Test
  void decomposition() {
    Features texts = PictureScorer.texts(captions);
    CommonDirection common = CommonDirection.of(texts);
    check("common_direction", common.vector());
    double[] etas = new double[texts.count()];
    float[] found = new float[etas.length];
    for (int i = 0; i < etas.length; i++) {
      etas[i] = common.eta(texts.row(i));
      found[i] = (float) etas[i];
    }
    check("eta", found);
    JsonObject expected = golden.values().getAsJsonObject("eta_statistics");
    EtaStatistics statistics = EtaStatistics.of(etas);
    assertThat(statistics.mean()).isCloseTo(expected.get("mean").getAsDouble(), within(1e-6));
    assertThat(statistics.standardDeviation())
        .isCloseTo(expected.get("std_unbiased").getAsDouble(), within(1e-6));
    assertThat(statistics.min()).isCloseTo(expected.get("min").getAsDouble(), within(1e-6));
    assertThat(statistics.max()).isCloseTo(expected.get("max").getAsDouble(), within(1e-6));
  }

  @ParameterizedTest
  @ValueSource(strings = {"0.0", "0.3", "1.0"})
  void reweightedScores(String omega) {
    double weight = Double.parseDouble(omega);
    check("dense_logits_ortho_w" + omega, logits(reweighted(captions, weight)));
    check("dense_ortho_w" + omega, diagonal(reweighted(captions.subList(0, 2), weight)));
  }

  @Test
  void plainScores() {
    Features texts = PictureScorer.texts(captions);
    check("dense_logits_plain", logits(texts));
    check("dense_plain", diagonal(texts.rows(0, 2)));
    check("dense_split_logits", logits(captions.get(0).features()));
    for (String name : List.of("pick", "clip")) {
      check(name + "_plain", diagonal(PictureScorer.texts(wholes).rows(0, 2)));
      check(name + "_ortho", diagonal(reweighted(wholes.subList(0, 2), 0.3)));
    }
  }

  @Test
  void partsAndSentencesOfAPicture() {
    CommonDirection common = CommonDirection.of(PictureScorer.texts(captions));
    float[] expected = golden.floats("dense_logits_plain");
    float[] reweighted = golden.floats("dense_logits_ortho_w0.3");
    float[] relevant = golden.floats("dense_logits_ortho_w0.0");
    PictureScore score = PictureScorer.score(images.row(1), captions.get(0), common, 0.3);
    assertThat(score.score()).isCloseTo(expected[1], within(1e-6));
    assertThat(score.reweighted()).isCloseTo(reweighted[1], within(1e-6));
    assertThat(score.relevant()).isCloseTo(relevant[1], within(1e-6));
    assertThat(score.relevant() + score.irrelevant()).isCloseTo(score.score(), within(1e-12));
    assertThat(score.sentences()).hasSize(6);
    float[] split = golden.floats("dense_split_logits");
    double mean = 0;
    for (PictureScore.Sentence sentence : score.sentences()) {
      assertThat(sentence.score()).isCloseTo(split[2 * sentence.index() + 1], within(1e-6));
      assertThat(sentence.score()).isGreaterThanOrEqualTo(score.worst().score());
      mean += sentence.score() / 6;
    }
    assertThat(mean).isCloseTo(score.score(), within(1e-7));
  }

  @Test
  void gradientWithRespectToThePicture() {
    PictureScorer.Gradient gradient =
        PictureScorer.denscore(model)
            .gradient(pictures, crop, reweighted(captions.subList(0, 2), 0.3));
    JsonArray scores = golden.values().getAsJsonArray("score_of_gradient");
    for (int picture = 0; picture < 2; picture++) {
      assertThat(gradient.scores()[picture])
          .isCloseTo(scores.get(picture).getAsDouble(), within(1e-6));
      checkGradient(picture, gradient.gradient());
    }
  }

  private static void checkGradient(int picture, PictureBatch gradient) {
    String name = "grad_image_" + picture;
    Shape rows = golden.shape(name + "_rows");
    int every = picture == 0 ? 4 : 37;
    int h = gradient.height();
    int w = gradient.width();
    float[] found = new float[(int) rows.size()];
    double sum = 0;
    double squares = 0;
    double max = 0;
    double pattern = 0;
    for (int i = 0; i < 3 * h * w; i++) {
      int c = i / (h * w);
      int y = i / w % h;
      float value = gradient.values()[((picture * h + y) * w + i % w) * 3 + c];
      sum += value;
      squares += (double) value * value;
      max = Math.max(max, Math.abs(value));
      pattern += value * ((i * 40503L % 65536) / 65536.0 - 0.5);
      if (y % every == 0) {
        found[(c * rows.intDim(1) + y / every) * w + i % w] = value;
      }
    }
    new Tolerance(2e-5, 0).check(name, rows, golden.floats(name + "_rows"), found);
    JsonElement digest = golden.values().getAsJsonObject(name + "_digest").get("value");
    double l2 = digest.getAsJsonObject().get("l2").getAsDouble();
    assertThat(Math.sqrt(squares)).isCloseTo(l2, within(1e-5 * l2));
    assertThat(max)
        .isCloseTo(digest.getAsJsonObject().get("max_abs").getAsDouble(), within(2e-5 * max));
    assertThat(sum).isCloseTo(digest.getAsJsonObject().get("sum").getAsDouble(), within(1e-3 * l2));
    assertThat(pattern)
        .isCloseTo(digest.getAsJsonObject().get("pattern_dot").getAsDouble(), within(1e-3 * l2));
  }

  private static Features reweighted(List<CaptionFeatures> some, double omega) {
    Features texts = PictureScorer.texts(some);
    CommonDirection common = CommonDirection.of(texts);
    List<float[]> rows = new ArrayList<>();
    for (int i = 0; i < texts.count(); i++) {
      rows.add(common.reweighted(texts.row(i), omega));
    }
    return Features.of(rows);
  }

  private static float[] logits(Features texts) {
    double[][] scores = CosineScore.all(texts, images);
    float[] flat = new float[scores.length * images.count()];
    for (int i = 0; i < flat.length; i++) {
      flat[i] = (float) scores[i / images.count()][i % images.count()];
    }
    return flat;
  }

  private static float[] diagonal(Features texts) {
    double[][] scores = CosineScore.all(texts, images);
    return new float[] {(float) scores[0][0], (float) scores[1][1]};
  }
}
