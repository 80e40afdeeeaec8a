package dev.longalign.preference;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Device;
import dev.longalign.text.Tokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.ServiceLoader;

/**
 * A frozen CLIP-type model: texts and pictures to vectors of one space. Thread-safe; heavy; open it
 * once.
 *
 * <pre>{@code
 * try (PreferenceModel denscore = PreferenceModel.open(directory, 0)) {
 *   PictureScorer scorer = PictureScorer.denscore(denscore);
 *   CaptionFeatures caption = scorer.caption("A long prompt. With many sentences.");
 *   PictureScore score = scorer.score(picture, caption, commonDirection, 0.3);
 * }
 * }</pre>
 */
public interface PreferenceModel extends AutoCloseable {

  /**
   * Opens a model: Hugging Face's directory of a CLIPModel (Denscore, PickScore, CLIP), or a file
   * of open_clip's layout (HPSv2).
   *
   * @param threads used by one call; 0 for one per core
   * @throws LongAlignException if no provider is on the class path, or a file is missing or damaged
   */
  static PreferenceModel open(Path model, int threads) {
    return provider().preferenceModel(model, model, threads);
  }

  /** {@link #open(Path, int)} with the tokenizer from another directory. */
  static PreferenceModel open(Path model, Path tokenizer, int threads) {
    return provider().preferenceModel(model, tokenizer, threads);
  }

  /** {@link #open(Path, Path, int)} on a device, if models can run there; the log says if not. */
  static PreferenceModel open(Path model, Path tokenizer, int threads, Device device) {
    return provider().on(device.resolved()).preferenceModel(model, tokenizer, threads);
  }

  private static PreferenceProvider provider() {
    return ServiceLoader.load(PreferenceProvider.class)
        .findFirst()
        .orElseThrow(
            () ->
                new LongAlignException(
                    "no preference models on the class path; add dev.longalign:longalign-onnx"));
  }

  /** Width of a feature. */
  int width();

  /** The tokenizer of the text side. */
  Tokenizer tokenizer();

  /** From pictures to what the vision side reads, as the model's own processor does it. */
  PictureProcessor processor();

  /** The same for training: a crop, and linear, so that a gradient goes back to the picture. */
  default ImagePreprocessing preprocessing() {
    return processor().training();
  }

  /** The most tokens of a text that are read, start and end token included. */
  int window();

  /**
   * Text features, each divided by its length: [texts, width].
   *
   * @param ids with start and end token, at most {@link #window()}, not padded
   */
  Features textFeatures(List<int[]> ids);

  /** Image features, <em>not</em> divided by their lengths: [pictures, width]. */
  Features imageFeatures(PixelValues pictures);

  /**
   * The vector-Jacobian product of {@link #imageFeatures}: the gradient of {@code sum(features *
   * cotangent)} with respect to the pixel values.
   *
   * @param cotangent [pictures, width]
   */
  PixelValues imageGradient(PixelValues pictures, Features cotangent);

  /**
   * Image features, and the gradient of the scores.
   *
   * @param images not divided by their lengths: [pictures, width]
   * @param gradient of {@code sum_i <texts_i, images_i / |images_i|>} with respect to the pixel
   *     values
   */
  record ScoreGradient(Features images, PixelValues gradient) {}

  /**
   * The gradient of {@link CosineScore} in one pass.
   *
   * @param texts T, one a picture, of any length: [pictures, width]
   */
  default ScoreGradient scoreGradient(PixelValues pictures, Features texts) {
    Features images = imageFeatures(pictures);
    List<float[]> cotangents = new ArrayList<>();
    for (int i = 0; i < images.count(); i++) {
      cotangents.add(CosineScore.imageGradient(texts.row(i), images.row(i)));
    }
    return new ScoreGradient(images, imageGradient(pictures, Features.of(cotangents)));
  }

  @Override
  void close();
}
