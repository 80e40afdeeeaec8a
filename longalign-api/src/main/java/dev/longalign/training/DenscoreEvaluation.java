package dev.longalign.training;

import dev.longalign.data.RgbPicture;
import dev.longalign.data.SplitMix64;
import dev.longalign.data.panels.CaptionedScene;
import dev.longalign.data.panels.PanelObject;
import dev.longalign.data.panels.PanelsDataset;
import dev.longalign.data.panels.PanelsWorld;
import dev.longalign.data.panels.Scene;
import dev.longalign.data.panels.SceneWriter;
import dev.longalign.preference.CaptionFeatures;
import dev.longalign.preference.CosineScore;
import dev.longalign.preference.Features;
import dev.longalign.preference.PictureBatch;
import dev.longalign.preference.PictureScorer;
import dev.longalign.preference.PreferenceModel;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * How well a scorer knows the panels world, on held-out pictures with long captions.
 *
 * @param pictures how many there were
 * @param retrieval the share of pictures that score highest with their own caption among {@value
 *     #CHOICES}
 * @param sentences how many sentences there were
 * @param segments the share of true sentences that score higher than the same sentence with one
 *     attribute changed; 0.5 is chance
 * @param byAttribute the same for each kind of change: {@code size}, {@code color}, {@code shape},
 *     {@code position}, {@code background}
 */
public record DenscoreEvaluation(
    int pictures,
    double retrieval,
    int sentences,
    double segments,
    Map<String, Double> byAttribute) {
  /** Captions that a picture chooses from. */
  public static final int CHOICES = 64;

  /** No training draws its scenes from this seed. */
  private static final long HELD_OUT = 0x6865_6c64_2d6f_7574L;

  public DenscoreEvaluation {
    byAttribute = new TreeMap<>(byAttribute);
  }

  /** A sentence that is true of a picture, and one that is not. */
  private record Twin(String attribute, String right, String wrong) {}

  /**
   * Measures.
   *
   * @param pictures a multiple of {@link #CHOICES}
   */
  public static DenscoreEvaluation of(PreferenceModel model, int pictures) {
    PictureScorer scorer = PictureScorer.denscore(model);
    PanelsDataset data = PanelsDataset.endless(PanelsDataset.Captions.LONG, HELD_OUT);
    Tally tally = new Tally();
    for (int first = 0; first < pictures; first += CHOICES) {
      List<CaptionedScene> scenes = new ArrayList<>();
      for (int i = 0; i < CHOICES; i++) {
        scenes.add(data.scene(first + i));
      }
      Features images = scorer.images(batch(scenes));
      List<CaptionFeatures> captions =
          scorer.captions(scenes.stream().map(CaptionedScene::caption).toList());
      tally.retrieval(CosineScore.all(PictureScorer.texts(captions), images));
      for (int i = 0; i < CHOICES; i++) {
        SplitMix64 random = new SplitMix64(HELD_OUT, first + i, 1);
        List<Twin> twins = twins(scenes.get(i), captions.get(i).segments(), random);
        List<String> texts = new ArrayList<>();
        twins.forEach(twin -> texts.addAll(List.of(twin.right, twin.wrong)));
        Features features =
            Features.of(
                scorer.captions(texts).stream().map(caption -> caption.features().row(0)).toList());
        tally.segments(twins, features, images.row(i));
      }
    }
    return tally.result();
  }

  private static PictureBatch batch(List<CaptionedScene> scenes) {
    int side = PanelsWorld.SIDE;
    float[] values = new float[scenes.size() * side * side * 3];
    for (int i = 0; i < scenes.size(); i++) {
      RgbPicture picture = PanelsWorld.render(scenes.get(i).scene());
      byte[] bytes = picture.bytes();
      for (int j = 0; j < bytes.length; j++) {
        values[i * bytes.length + j] = (bytes[j] & 255) / 255f;
      }
    }
    return new PictureBatch(values, scenes.size(), side, side);
  }

  // ---- sentences and their twins

  private static List<Twin> twins(
      CaptionedScene captioned, List<String> segments, SplitMix64 random) {
    Scene scene = captioned.scene();
    List<Twin> twins = new ArrayList<>();
    for (String segment : segments) {
      String sentence = segment.strip();
      String blank = segment.substring(0, segment.indexOf(sentence));
      for (int cell = 0; cell < PanelsWorld.CELLS; cell++) {
        Optional<PanelObject> object = scene.cells().get(cell);
        int template =
            object.isEmpty()
                ? -1
                : SceneWriter.objectSentences(cell, object.get()).indexOf(sentence);
        if (template >= 0) {
          twins.add(changed(scene, cell, object.get(), template, segment, blank, random));
        }
      }
      int template = SceneWriter.backgroundSentences(scene.background()).indexOf(sentence);
      if (template >= 0) {
        int other = other(scene.background(), PanelsWorld.BACKGROUNDS.size(), random);
        String wrong = SceneWriter.backgroundSentences(other).get(template);
        twins.add(new Twin("background", segment, blank + wrong));
      }
    }
    return twins;
  }

  private static Twin changed(
      Scene scene,
      int cell,
      PanelObject object,
      int template,
      String segment,
      String blank,
      SplitMix64 random) {
    int size = object.size();
    int color = object.color();
    int shape = object.shape();
    int place = cell;
    String attribute = List.of("size", "color", "shape", "position").get(random.nextInt(4));
    switch (attribute) {
      case "size" -> size = 1 - size;
      case "color" -> color = other(color, PanelsWorld.COLORS.size(), random);
      case "shape" -> shape = other(shape, PanelsWorld.SHAPES.size(), random);
      default -> {
        do {
          place = other(cell, PanelsWorld.CELLS, random);
        } while (scene.cells().get(place).equals(Optional.of(object)));
      }
    }
    String wrong =
        SceneWriter.objectSentences(place, new PanelObject(size, color, shape)).get(template);
    return new Twin(attribute, segment, blank + wrong);
  }

  /** Any of {@code [0, count)} but this one. */
  private static int other(int value, int count, SplitMix64 random) {
    return (value + 1 + random.nextInt(count - 1)) % count;
  }

  // ---- counting

  private static final class Tally {
    private int pictures;
    private int found;
    private int sentences;
    private int right;
    private final Map<String, int[]> byAttribute = new TreeMap<>();

    /** Scores [captions][pictures], of which the i-th belong together. */
    void retrieval(double[][] scores) {
      for (int picture = 0; picture < scores.length; picture++) {
        int best = 0;
        for (int caption = 1; caption < scores.length; caption++) {
          best = scores[caption][picture] > scores[best][picture] ? caption : best;
        }
        pictures++;
        found += best == picture ? 1 : 0;
      }
    }

    /** Features of right and wrong in turn. */
    void segments(List<Twin> twins, Features features, float[] image) {
      for (int i = 0; i < twins.size(); i++) {
        double more =
            CosineScore.of(features.row(2 * i), image)
                - CosineScore.of(features.row(2 * i + 1), image);
        int[] counts = byAttribute.computeIfAbsent(twins.get(i).attribute, key -> new int[2]);
        counts[0] += more > 0 ? 1 : 0;
        counts[1]++;
        right += more > 0 ? 1 : 0;
        sentences++;
      }
    }

    DenscoreEvaluation result() {
      Map<String, Double> shares = new TreeMap<>();
      byAttribute.forEach((key, counts) -> shares.put(key, counts[0] / (double) counts[1]));
      return new DenscoreEvaluation(
          pictures,
          found / (double) Math.max(1, pictures),
          sentences,
          right / (double) Math.max(1, sentences),
          shares);
    }
  }
}
