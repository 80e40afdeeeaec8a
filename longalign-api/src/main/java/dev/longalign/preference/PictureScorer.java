package dev.longalign.preference;

import dev.longalign.LongAlignException;
import dev.longalign.preference.PictureScore.Sentence;
import dev.longalign.text.SegmentSplitter;
import dev.longalign.text.Tokenizer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;

/**
 * Scores pictures with captions (LongAlign, section 3.2). Denscore encodes a caption segment by
 * segment, so that no sentence is cut; PickScore, HPSv2 and CLIP read its first 77 tokens.
 * Thread-safe; the model stays the caller's.
 */
public final class PictureScorer {
  private final PreferenceModel model;
  private final SegmentSplitter splitter;

  private PictureScorer(PreferenceModel model, SegmentSplitter splitter) {
    this.model = Objects.requireNonNull(model, "model");
    this.splitter = Objects.requireNonNull(splitter, "splitter");
  }

  /** By the reference's segments: Denscore. */
  public static PictureScorer denscore(PreferenceModel model) {
    return new PictureScorer(model, SegmentSplitter.reference());
  }

  /** By the whole caption, cut at the window: PickScore, HPSv2, CLIP. */
  public static PictureScorer whole(PreferenceModel model) {
    return new PictureScorer(model, List::of);
  }

  /** By segments of one's own. */
  public static PictureScorer bySegments(PreferenceModel model, SegmentSplitter splitter) {
    return new PictureScorer(model, splitter);
  }

  public PreferenceModel model() {
    return model;
  }

  public CaptionFeatures caption(String caption) {
    return captions(List.of(caption)).get(0);
  }

  /** Encodes captions; their segments go through the model together. */
  public List<CaptionFeatures> captions(List<String> captions) {
    List<List<String>> segments = captions.stream().map(splitter::split).toList();
    List<String> all = segments.stream().flatMap(List::stream).toList();
    Tokenizer tokenizer = model.tokenizer();
    int window = model.window();
    List<int[]> ids = tokenizer.encodeAll(all);
    List<int[]> cut = new ArrayList<>();
    for (int[] row : ids) {
      int[] kept = row;
      if (row.length > window) {
        kept = Tokenizer.pad(List.of(row), window, tokenizer.padId(), tokenizer.eosId())[0];
      }
      cut.add(kept);
    }
    Features features = model.textFeatures(cut);
    List<CaptionFeatures> encoded = new ArrayList<>();
    int first = 0;
    for (int c = 0; c < captions.size(); c++) {
      int end = first + segments.get(c).size();
      int lost = 0;
      for (int[] row : ids.subList(first, end)) {
        lost += Math.max(0, row.length - window);
      }
      encoded.add(
          new CaptionFeatures(captions.get(c), segments.get(c), features.rows(first, end), lost));
      first = end;
    }
    return encoded;
  }

  /** The texts T of captions: [captions, width]. */
  public static Features texts(List<CaptionFeatures> captions) {
    return Features.of(captions.stream().map(CaptionFeatures::text).toList());
  }

  /**
   * Scores one picture of a batch's features.
   *
   * @param image I, as {@link PreferenceModel#imageFeatures} gives it
   * @param omega how much of the text-irrelevant part stays in {@link PictureScore#reweighted()}
   */
  public static PictureScore score(
      float[] image, CaptionFeatures caption, CommonDirection common, double omega) {
    float[] text = caption.text();
    double eta = common.eta(text);
    double score = CosineScore.of(text, image);
    double irrelevant = eta * CosineScore.of(common.vector(), image);
    List<Sentence> sentences = new ArrayList<>();
    for (int i = 0; i < caption.segments().size(); i++) {
      float[] segment = caption.features().row(i);
      sentences.add(
          new Sentence(
              i,
              caption.segments().get(i),
              CosineScore.of(segment, image),
              CosineScore.of(common.relevant(segment), image)));
    }
    sentences.sort(Comparator.comparingDouble(Sentence::score));
    double reweighted = CosineScore.of(common.reweighted(text, omega), image);
    return new PictureScore(score, reweighted, score - irrelevant, irrelevant, eta, sentences);
  }

  /** The features of pictures, prepared as the model's own processor does it. */
  public Features images(PictureBatch pictures) {
    return model.imageFeatures(model.processor().prepare(pictures));
  }

  /**
   * Scores and their gradients.
   *
   * @param scores {@code <T_i, I_i / |I_i|>} for every picture
   * @param gradient of the sum of the scores with respect to the pictures in [0, 1]
   */
  public record Gradient(double[] scores, PictureBatch gradient) {}

  /**
   * The scores of pictures with one text each, and the gradient of their sum; the text side gets
   * none.
   *
   * @param texts T, or T' of {@link CommonDirection#reweighted}: one a picture
   */
  public Gradient gradient(PictureBatch pictures, Crop crop, Features texts) {
    if (texts.count() != pictures.count()) {
      throw new LongAlignException(
          "expected a text for each of " + pictures.count() + " pictures, found " + texts.count());
    }
    PixelValues pixels = model.preprocessing().prepare(pictures, crop);
    PreferenceModel.ScoreGradient found = model.scoreGradient(pixels, texts);
    double[] scores = new double[pictures.count()];
    for (int i = 0; i < scores.length; i++) {
      scores[i] = CosineScore.of(texts.row(i), found.images().row(i));
    }
    return new Gradient(
        scores,
        model
            .preprocessing()
            .gradient(found.gradient(), pictures.height(), pictures.width(), crop));
  }
}
