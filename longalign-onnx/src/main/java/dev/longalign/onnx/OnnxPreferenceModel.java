package dev.longalign.onnx;

import dev.longalign.LongAlignException;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.model.ClipTextConfig;
import dev.longalign.model.ClipVisionConfig;
import dev.longalign.onnx.graph.ClipTextGraph;
import dev.longalign.onnx.graph.ClipVisionGraph;
import dev.longalign.onnx.tokenizer.ClipTokenizers;
import dev.longalign.preference.Features;
import dev.longalign.preference.PictureProcessor;
import dev.longalign.preference.PictureProcessorConfig;
import dev.longalign.preference.PixelValues;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.tensor.Device;
import dev.longalign.text.TextReader;
import dev.longalign.text.Tokenizer;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/**
 * A CLIP on ONNX Runtime, computing in f32. The text side, the vision side and the vision side's
 * gradient are three graphs, opened when they are first needed. Thread-safe.
 */
public final class OnnxPreferenceModel implements PreferenceModel {
  /** Bounds the memory that activations take in a run. */
  private static final int TOKENS_PER_RUN = 2048;

  private final String name;
  private final Tokenizer tokenizer;
  private final ClipTextConfig text;
  private final ClipVisionConfig vision;
  private final PictureProcessor processor;
  private final TensorFile weights;
  private final OnnxWeights loaded = new OnnxWeights();
  private final LazySession texts;
  private final LazySession pictures;
  private final LazySession gradients;
  private final LazySession scoreGradients;

  private OnnxPreferenceModel(
      String name,
      Tokenizer tokenizer,
      ClipTextConfig text,
      ClipVisionConfig vision,
      PictureProcessor processor,
      TensorFile weights,
      int threads,
      Device device) {
    this.name = name;
    this.tokenizer = tokenizer;
    this.text = text;
    this.vision = vision;
    this.weights = weights;
    if (text.projection() != vision.projection()) {
      throw new LongAlignException(
          name
              + ": expected texts and pictures in one space, found widths "
              + text.projection()
              + " and "
              + vision.projection());
    }
    this.processor = processor;
    this.texts =
        new LazySession(
            name + " (texts)",
            threads,
            device,
            loaded,
            () -> ClipTextGraph.build(text, weights, ClipTextGraph.Result.PROJECTED));
    this.pictures =
        new LazySession(
            name + " (pictures)",
            threads,
            device,
            loaded,
            () -> ClipVisionGraph.build(vision, weights));
    this.gradients =
        new LazySession(
            name + " (gradient)",
            threads,
            device,
            loaded,
            () -> ClipVisionGraph.buildGradient(vision, weights));
    this.scoreGradients =
        new LazySession(
            name + " (score's gradient)",
            threads,
            device,
            loaded,
            () -> ClipVisionGraph.buildScoreGradient(vision, weights));
  }

  /**
   * Opens a model.
   *
   * @param model a CLIPModel's directory; a file of open_clip's layout, or a directory with one
   * @param tokenizer a directory with CLIP's tokenizer
   * @param threads used by one call; 0 for one per core
   */
  public static OnnxPreferenceModel open(Path model, Path tokenizer, int threads) {
    return open(model, tokenizer, threads, Device.cpu());
  }

  /** The same on a device that {@link OnnxRuntime#usable} has returned. */
  static OnnxPreferenceModel open(Path model, Path tokenizer, int threads, Device device) {
    if (Files.isDirectory(model) && Files.isRegularFile(model.resolve("config.json"))) {
      return huggingFace(ComponentDirectory.open(model), tokenizer, threads, device);
    }
    if (!Files.exists(model)) {
      throw new LongAlignException(
          model + ": expected a preference model, found nothing; check the path");
    }
    Path file = Files.isDirectory(model) ? openClipFile(ComponentDirectory.open(model)) : model;
    return openClip(file, tokenizer, threads, device);
  }

  /** As Hugging Face's open_clip repositories name it, or the only torch file. */
  private static Path openClipFile(ComponentDirectory directory) {
    List<String> candidates =
        directory.fileNames().stream()
            .filter(
                file -> file.matches("open_clip_.*\\.(safetensors|bin)") || file.endsWith(".pt"))
            .sorted(Comparator.comparing(OnnxPreferenceModel::preference))
            .toList();
    if (candidates.isEmpty()) {
      throw new LongAlignException(
          directory
              + ": expected config.json and weights of a CLIPModel, or open_clip's weights, found"
              + " neither in "
              + directory.fileNames());
    }
    if (candidates.size() > 1 && !candidates.get(0).startsWith("open_clip_")) {
      throw new LongAlignException(
          directory + ": expected one model, found " + candidates + "; name the file");
    }
    return directory.path().resolve(candidates.get(0));
  }

  private static int preference(String file) {
    return file.endsWith(".safetensors") ? 0 : file.startsWith("open_clip_") ? 1 : 2;
  }

  private static OnnxPreferenceModel huggingFace(
      ComponentDirectory model, Path tokenizer, int threads, Device device) {
    ClipTextConfig text = ClipTextConfig.read(model.file("config.json"));
    ClipVisionConfig vision = ClipVisionConfig.read(model.file("config.json"));
    PictureProcessor processor = PictureProcessorConfig.read(model.path(), vision.imageSize());
    TensorFile weights = model.weights();
    return closingOnFailure(
        ClipTokenizers.openFast(tokenizer),
        opened -> {
          TextReader.checkRows(opened, tokenizer, text.vocabSize(), model.path(), false);
          return new OnnxPreferenceModel(
              model.toString(), opened, text, vision, processor, weights, threads, device);
        });
  }

  private static OnnxPreferenceModel openClip(
      Path file, Path tokenizer, int threads, Device device) {
    OpenClipCheckpoint checkpoint = OpenClipCheckpoint.read(file, TensorFiles.open(file));
    Path directory = Files.isDirectory(tokenizer) ? tokenizer : tokenizer.resolveSibling("");
    Path files = directory.toString().isEmpty() ? Path.of(".") : directory;
    // open_clip's own tokenizer repairs and lowers text as the slow one does.
    return closingOnFailure(
        ClipTokenizers.openSlow(files),
        opened -> {
          TextReader.checkRows(opened, files, checkpoint.text().vocabSize(), file, false);
          return new OnnxPreferenceModel(
              file.toString(),
              opened,
              checkpoint.text(),
              checkpoint.vision(),
              checkpoint.processor(),
              checkpoint.tensors(),
              threads,
              device);
        });
  }

  private interface Opening {
    OnnxPreferenceModel with(Tokenizer tokenizer);
  }

  private static OnnxPreferenceModel closingOnFailure(Tokenizer tokenizer, Opening opening) {
    try {
      return opening.with(tokenizer);
    } catch (RuntimeException e) {
      tokenizer.close();
      throw e;
    }
  }

  @Override
  public int width() {
    return text.projection();
  }

  @Override
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  @Override
  public PictureProcessor processor() {
    return processor;
  }

  @Override
  public int window() {
    return text.maxPositions();
  }

  @Override
  public Features textFeatures(List<int[]> ids) {
    OnnxSession session = texts.get(); // has compared the config's sizes with the weights
    float[] values = new float[ids.size() * width()];
    int perRun = Math.max(1, TOKENS_PER_RUN / text.maxPositions());
    for (int first = 0; first < ids.size(); first += perRun) {
      List<int[]> some = ids.subList(first, Math.min(ids.size(), first + perRun));
      // What follows the end of a text is not attended to: padding may be as short as possible.
      int length = some.stream().mapToInt(row -> row.length).max().orElse(0);
      LongBuffer chunk = LongBuffer.allocate(some.size() * length);
      for (int i = 0; i < some.size(); i++) {
        check(some.get(i), first + i);
        for (int j = 0; j < length; j++) {
          chunk.put(j < some.get(i).length ? some.get(i)[j] : tokenizer.padId());
        }
      }
      boolean last = first + some.size() == ids.size();
      long[] shape = {some.size(), length};
      float[] features = session.run(ClipTextGraph.INPUT, chunk.flip(), shape, last);
      System.arraycopy(features, 0, values, first * width(), features.length);
    }
    return new Features(values, ids.size(), width()).normalised();
  }

  private void check(int[] row, int index) {
    if (row.length == 0 || row.length > text.maxPositions()) {
      throw new LongAlignException(
          "text "
              + index
              + ": expected 1 to "
              + text.maxPositions()
              + " tokens for "
              + name
              + ", found "
              + row.length);
    }
    for (int id : row) {
      if (id < 0 || id >= text.vocabSize()) {
        throw new LongAlignException(
            "text "
                + index
                + ": expected ids from 0 to "
                + (text.vocabSize() - 1)
                + " for "
                + name
                + ", found "
                + id
                + "; use the tokenizer that belongs to this model");
      }
    }
  }

  @Override
  public Features imageFeatures(PixelValues images) {
    int perRun = picturesPerRun(images);
    OnnxSession session = pictures.get();
    float[] values = new float[images.count() * width()];
    for (int first = 0; first < images.count(); first += perRun) {
      int count = Math.min(perRun, images.count() - first);
      Map<String, float[]> outputs =
          session.run(
              Map.of(ClipVisionGraph.PIXELS, pixels(images, first, count)),
              first + count == images.count());
      copy(outputs.get(ClipVisionGraph.FEATURES), values, first * width());
    }
    return new Features(values, images.count(), width());
  }

  @Override
  public PixelValues imageGradient(PixelValues images, Features cotangent) {
    return backward(gradients, images, ClipVisionGraph.COTANGENT, cotangent).gradient();
  }

  @Override
  public ScoreGradient scoreGradient(PixelValues images, Features directions) {
    return backward(scoreGradients, images, ClipVisionGraph.TEXTS, directions);
  }

  private ScoreGradient backward(
      LazySession session, PixelValues images, String input, Features given) {
    if (given.count() != images.count() || given.width() != width()) {
      throw new LongAlignException(
          input
              + ": expected ["
              + images.count()
              + ", "
              + width()
              + "], found ["
              + given.count()
              + ", "
              + given.width()
              + "]");
    }
    float[] features = new float[images.count() * width()];
    float[] gradient = new float[images.values().length];
    int perRun = picturesPerRun(images);
    int one = images.values().length / Math.max(1, images.count());
    for (int first = 0; first < images.count(); first += perRun) {
      int count = Math.min(perRun, images.count() - first);
      FloatBuffer some = FloatBuffer.wrap(given.values(), first * width(), count * width()).slice();
      Map<String, OnnxSession.Input> inputs =
          Map.of(
              ClipVisionGraph.PIXELS,
              pixels(images, first, count),
              input,
              OnnxSession.Input.of(some, count, width()));
      Map<String, float[]> outputs = session.get().run(inputs, first + count == images.count());
      copy(outputs.get(ClipVisionGraph.FEATURES), features, first * width());
      copy(outputs.get(ClipVisionGraph.GRADIENT), gradient, first * one);
    }
    return new ScoreGradient(
        new Features(features, images.count(), width()),
        new PixelValues(gradient, images.count(), images.size()));
  }

  private int picturesPerRun(PixelValues images) {
    if (images.size() != vision.imageSize()) {
      throw new LongAlignException(
          name
              + ": expected pictures of "
              + vision.imageSize()
              + " pixels, found "
              + images.size());
    }
    return Math.max(1, TOKENS_PER_RUN / (vision.grid() * vision.grid() + 1));
  }

  private static OnnxSession.Input pixels(PixelValues images, int first, int count) {
    int side = images.size();
    int one = ClipVisionConfig.CHANNELS * side * side;
    FloatBuffer some = FloatBuffer.wrap(images.values(), first * one, count * one).slice();
    return OnnxSession.Input.of(some, count, ClipVisionConfig.CHANNELS, side, side);
  }

  private static void copy(float[] from, float[] to, int at) {
    System.arraycopy(from, 0, to, at, from.length);
  }

  @Override
  public void close() {
    texts.close();
    pictures.close();
    gradients.close();
    scoreGradients.close();
    loaded.close();
    tokenizer.close();
    weights.close();
  }
}
