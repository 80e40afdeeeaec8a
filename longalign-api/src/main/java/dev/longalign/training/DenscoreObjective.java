package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.data.TrainingExample;
import dev.longalign.model.TrainableClip;
import dev.longalign.preference.CommonDirection;
import dev.longalign.preference.ImagePreprocessing;
import dev.longalign.preference.PictureBatch;
import dev.longalign.preference.PixelValues;
import dev.longalign.random.TorchGenerator;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.text.SegmentSplitter;
import dev.longalign.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Teaches a CLIP to score pictures with long captions segment by segment: Denscore.
 *
 * <p>What is the paper's (LongAlign, sections 3.2 and 3.3): a caption is cut into segments, the
 * text feature T of a caption is the plain mean of its segments' normalised features, and its score
 * with a picture is {@code <T, I / |I|>}. T falls into {@code T_perp + eta V} with V the normalised
 * mean of a batch's T and {@code eta = <T, V>}; {@code eta V} says nothing of this caption. The
 * paper reweights when a finished scorer trains a generator: {@code T' = T - (1 - omega) eta V}
 * with omega = 0.3.
 *
 * <p>What is CLIP's: InfoNCE in both directions over the batch, with a learned scale of at most
 * 100.
 *
 * <p>What is ours, for the paper's own training of Denscore is not published as code:
 *
 * <ul>
 *   <li>Two terms: {@code L(captions) + segmentWeight L(segments)}. The first contrasts T of whole
 *       captions; the second each segment by itself, where every caption has the same weight,
 *       however many segments it has. A text of the same words as another is the same text: it is
 *       encoded once, and is no negative for any picture that has it in its caption.
 *   <li>With {@code omega < 1} both terms see reweighted features, T' and likewise each segment's.
 *       V is that of the batch at this step and is a constant: no gradient goes through it. Then
 *       what all captions share earns less in the contrast, and the scorer is trained for what a
 *       reweighted score will ask of it. 1 trains plain scores.
 * </ul>
 *
 * <p>Inputs: {@code pixels} [B, size, size, 3]; integers {@code ids} [segments * longest], {@code
 * lengths} [segments], {@code captions} [B]: the number of each picture's caption, {@code sizes}
 * [captions]: how many segments each has, {@code members}: the segments' numbers, caption by
 * caption.
 */
public final class DenscoreObjective implements Objective<TrainingExample> {
  /** The name of the stage. */
  public static final String STAGE = "denscore";

  private final TrainableClip clip;
  private final AutogradBackend autograd;
  private final Tokenizer tokenizer;
  private final ImagePreprocessing preprocessing;
  private final Settings settings;
  private final SegmentSplitter splitter = SegmentSplitter.reference();

  /**
   * @param omega how much of the text-irrelevant part takes part; 1: all
   * @param segmentWeight of the segments' term, beside 1 for the captions'
   */
  public record Settings(double omega, double segmentWeight) {
    /** Plain scores, both terms alike. */
    public static final Settings DEFAULT = new Settings(1, 1);

    public Settings {
      if (!(omega >= 0 && omega <= 1)
          || !(segmentWeight >= 0)
          || Double.isInfinite(segmentWeight)) {
        throw new LongAlignException(
            "denscore: expected omega in [0, 1] and a segment weight of at least 0, found "
                + omega
                + " and "
                + segmentWeight);
      }
    }
  }

  /**
   * @param clip in training on {@code autograd}
   * @param tokenizer may be null if only {@link #loss} is called
   * @param preprocessing may be null if only {@link #loss} is called
   */
  public DenscoreObjective(
      TrainableClip clip,
      AutogradBackend autograd,
      Tokenizer tokenizer,
      ImagePreprocessing preprocessing,
      Settings settings) {
    this.clip = clip;
    this.autograd = autograd;
    this.tokenizer = tokenizer;
    this.preprocessing = preprocessing;
    this.settings = settings;
  }

  @Override
  public String stage() {
    return STAGE;
  }

  /** Draws nothing. Brings the learned scale back into its range first. */
  @Override
  public StepInputs prepare(List<TrainingExample> examples, TorchGenerator random) {
    clip.clampLogitScale();
    List<String> captions = TrainingExample.captions(examples);
    Map<String, Integer> captionNumbers = new LinkedHashMap<>();
    captions.forEach(caption -> captionNumbers.putIfAbsent(caption, captionNumbers.size()));
    Map<String, Integer> segmentNumbers = new LinkedHashMap<>();
    List<Integer> members = new ArrayList<>();
    List<Integer> sizes = new ArrayList<>();
    for (String caption : captionNumbers.keySet()) {
      List<String> segments = splitter.split(caption);
      sizes.add(segments.size());
      for (String segment : segments) {
        segmentNumbers.putIfAbsent(segment, segmentNumbers.size());
        members.add(segmentNumbers.get(segment));
      }
    }
    List<int[]> ids = tokenizer.encodeAll(List.copyOf(segmentNumbers.keySet()));
    int window = clip.config().text().maxPositions();
    int[] lengths = ids.stream().mapToInt(row -> Math.min(window, row.length)).toArray();
    int longest = Arrays.stream(lengths).max().orElse(0);
    int[][] rows = Tokenizer.pad(ids, longest, tokenizer.padId(), tokenizer.eosId());
    return new StepInputs(
        examples.stream().map(TrainingExample::id).toList(),
        Map.of("pixels", pixels(examples)),
        Map.of(
            "ids",
            Arrays.stream(rows).flatMapToInt(Arrays::stream).toArray(),
            "lengths",
            lengths,
            "captions",
            captions.stream().mapToInt(captionNumbers::get).toArray(),
            "sizes",
            ints(sizes),
            "members",
            ints(members)));
  }

  private static int[] ints(List<Integer> values) {
    return values.stream().mapToInt(Integer::intValue).toArray();
  }

  private Tensor pixels(List<TrainingExample> examples) {
    Tensor pictures = TrainingExample.pictures(autograd, examples); // [B, H, W, 3] in [-1, 1]
    float[] values = pictures.toFloats();
    for (int i = 0; i < values.length; i++) {
      values[i] = values[i] * 0.5f + 0.5f;
    }
    PixelValues prepared =
        preprocessing.prepare(
            new PictureBatch(values, pictures.dim(0), pictures.dim(1), pictures.dim(2)));
    return pixels(autograd, prepared);
  }

  /** From [B, 3, size, size] to [B, size, size, 3]. */
  static Tensor pixels(AutogradBackend backend, PixelValues prepared) {
    int area = prepared.size() * prepared.size();
    float[] nchw = prepared.values();
    float[] nhwc = new float[nchw.length];
    for (int i = 0; i < nhwc.length; i++) {
      int picture = i / (3 * area);
      nhwc[i] = nchw[(picture * 3 + i % 3) * area + i / 3 % area];
    }
    Shape shape = Shape.of(prepared.count(), prepared.size(), prepared.size(), 3);
    return Tensor.of(backend, shape, nhwc);
  }

  // ---- the loss

  @Override
  public Loss loss(StepInputs inputs) {
    Layout layout = Layout.of(inputs);
    Tensor segments = clip.textFeatures(layout.ids(inputs)).normalizeRows(); // [segments, D]
    Tensor pictures = clip.imageFeatures(inputs.tensor("pixels")).normalizeRows(); // [B, D]
    segments = reweighted(segments, layout);
    Tensor captions = layout.means(segments.backend()).matmul(segments, false); // [captions, D]
    Tensor scale = clip.logitScale();
    Tensor byCaption = layout.captionContrast().loss(captions, pictures, scale);
    Tensor bySegment = layout.segmentContrast().loss(segments, pictures, scale);
    float[] weights = {1, (float) settings.segmentWeight};
    return Loss.of(Tensor.linearCombination(weights, byCaption, bySegment));
  }

  /** {@code F - (1 - omega) <F, V> V} for every segment; so T' is the mean of these. */
  private Tensor reweighted(Tensor segments, Layout layout) {
    if (settings.omega == 1) {
      return segments;
    }
    float[] common = layout.common(segments.toFloats(), segments.dim(1)).vector();
    Tensor v = Tensor.of(segments.backend(), Shape.of(1, common.length), common);
    Tensor eta = segments.matmul(v, true); // [segments, 1]
    float[] coefficients = {1, (float) (settings.omega - 1)};
    return Tensor.linearCombination(coefficients, segments, eta.matmul(v, false));
  }

  /**
   * How a batch's segments make up its captions.
   *
   * @param captionOf the caption of each picture
   * @param members the segments of each caption
   * @param segments how many there are
   */
  private record Layout(int[] captionOf, int[][] members, int segments) {

    static Layout of(StepInputs inputs) {
      int[] sizes = inputs.integers("sizes");
      int[] all = inputs.integers("members");
      int[][] members = new int[sizes.length][];
      int from = 0;
      for (int c = 0; c < sizes.length; c++) {
        members[c] = Arrays.copyOfRange(all, from, from + sizes[c]);
        from += sizes[c];
      }
      return new Layout(inputs.integers("captions"), members, inputs.integers("lengths").length);
    }

    List<int[]> ids(StepInputs inputs) {
      int[] all = inputs.integers("ids");
      int[] lengths = inputs.integers("lengths");
      int longest = all.length / Math.max(1, segments);
      List<int[]> ids = new ArrayList<>();
      for (int s = 0; s < segments; s++) {
        ids.add(Arrays.copyOfRange(all, s * longest, s * longest + lengths[s]));
      }
      return ids;
    }

    /** [captions, segments]: times segments' features it gives captions' means. */
    Tensor means(Backend backend) {
      float[] share = new float[members.length * segments];
      for (int c = 0; c < members.length; c++) {
        for (int segment : members[c]) {
          share[c * segments + segment] += 1f / members[c].length;
        }
      }
      return Tensor.of(backend, Shape.of(members.length, segments), share);
    }

    /** V of the batch's captions, each counted as often as it occurs. */
    CommonDirection common(float[] features, int width) {
      CommonDirection.Accumulator sum = new CommonDirection.Accumulator();
      for (int caption : captionOf) {
        double[] mean = new double[width];
        for (int segment : members[caption]) {
          for (int d = 0; d < width; d++) {
            mean[d] += features[segment * width + d];
          }
        }
        float[] text = new float[width];
        for (int d = 0; d < width; d++) {
          text[d] = (float) (mean[d] / members[caption].length);
        }
        sum.add(text);
      }
      return sum.direction();
    }

    Contrast captionContrast() {
      Contrast contrast = new Contrast(members.length, captionOf.length);
      for (int picture = 0; picture < captionOf.length; picture++) {
        contrast.add(captionOf[picture], picture, 1f / captionOf.length);
      }
      return contrast;
    }

    Contrast segmentContrast() {
      Contrast contrast = new Contrast(segments, captionOf.length);
      for (int picture = 0; picture < captionOf.length; picture++) {
        int[] own = members[captionOf[picture]];
        for (int segment : own) {
          contrast.add(segment, picture, 1f / captionOf.length / own.length);
        }
      }
      return contrast;
    }
  }
}
