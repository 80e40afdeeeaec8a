package dev.longalign.onnx;

import dev.longalign.LongAlignException;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.TensorFile;
import dev.longalign.model.ClipTextConfig;
import dev.longalign.onnx.graph.ClipTextGraph;
import dev.longalign.onnx.graph.OnnxGraph;
import dev.longalign.onnx.graph.T5Config;
import dev.longalign.onnx.graph.T5EncoderGraph;
import dev.longalign.tensor.Device;
import dev.longalign.text.HiddenStates;
import dev.longalign.text.TextEncoder;
import java.nio.LongBuffer;
import java.nio.file.Path;

/**
 * A frozen CLIP text tower or T5 encoder on ONNX Runtime, computing in f32.
 *
 * <pre>{@code
 * try (TextEncoder clip = OnnxTextEncoder.clip(Path.of("stable-diffusion-v1-5/text_encoder"), 0)) {
 *   HiddenStates states = clip.encode(ids); // [sequences, length, 768]
 * }
 * }</pre>
 *
 * Open it once and share it: it is thread-safe.
 */
public final class OnnxTextEncoder implements TextEncoder {
  /**
   * Batches are cut into runs of about this many tokens, which bounds the memory that activations
   * take.
   */
  private static final int TOKENS_PER_RUN = 1024;

  private final Path directory;
  private final String input;
  private final OnnxWeights weights = new OnnxWeights();
  private final OnnxSession session;
  private final int vocabSize;
  private final int width;
  private final int maxLength;

  private OnnxTextEncoder(
      Path directory,
      OnnxGraph graph,
      String input,
      int threads,
      Device device,
      int vocabSize,
      int width,
      int maxLength) {
    this.directory = directory;
    this.input = input;
    this.session = open(graph, threads, device);
    this.vocabSize = vocabSize;
    this.width = width;
    this.maxLength = maxLength;
  }

  private OnnxSession open(OnnxGraph graph, int threads, Device device) {
    try {
      return OnnxSession.open(graph, weights, directory.toString(), threads, device);
    } catch (RuntimeException e) {
      weights.close();
      throw e;
    }
  }

  /**
   * Opens CLIP's text tower.
   *
   * @param directory with config.json and the weights of a CLIPTextModel or a CLIPModel
   * @param threads used by one call; 0 for one per core
   */
  public static OnnxTextEncoder clip(Path directory, int threads) {
    return clip(directory, threads, Device.cpu());
  }

  static OnnxTextEncoder clip(Path directory, int threads, Device device) {
    ComponentDirectory component = ComponentDirectory.open(directory);
    ClipTextConfig config = ClipTextConfig.read(component.file("config.json"));
    try (TensorFile weights = component.weights()) {
      OnnxGraph graph = ClipTextGraph.build(config, weights, ClipTextGraph.Result.HIDDEN_STATES);
      return new OnnxTextEncoder(
          directory,
          graph,
          ClipTextGraph.INPUT,
          threads,
          device,
          config.vocabSize(),
          config.width(),
          config.maxPositions());
    }
  }

  /**
   * Opens T5's encoder, which has no longest sequence.
   *
   * @param directory with config.json and the weights of a T5 model, whose decoder, if there, is
   *     not read
   * @param threads used by one call; 0 for one per core
   */
  public static OnnxTextEncoder t5(Path directory, int threads) {
    return t5(directory, threads, Device.cpu());
  }

  static OnnxTextEncoder t5(Path directory, int threads, Device device) {
    ComponentDirectory component = ComponentDirectory.open(directory);
    T5Config config = T5Config.read(component.file("config.json"));
    try (TensorFile weights = component.weights()) {
      OnnxGraph graph = T5EncoderGraph.build(config, weights);
      return new OnnxTextEncoder(
          directory,
          graph,
          T5EncoderGraph.INPUT,
          threads,
          device,
          config.vocabSize(),
          config.width(),
          Integer.MAX_VALUE);
    }
  }

  @Override
  public int width() {
    return width;
  }

  @Override
  public int vocabSize() {
    return vocabSize;
  }

  @Override
  public int maxLength() {
    return maxLength;
  }

  @Override
  public HiddenStates encode(int[][] ids) {
    int length = ids.length == 0 ? 0 : ids[0].length;
    check(ids, length);
    long size = (long) ids.length * length * width;
    if (size > Integer.MAX_VALUE - 8) {
      throw new LongAlignException(
          ids.length
              + " sequences of "
              + length
              + " tokens give "
              + size
              + " numbers, more than an array holds; encode fewer at a time");
    }
    float[] values = new float[(int) size];
    int perRun = Math.max(1, TOKENS_PER_RUN / Math.max(1, length));
    for (int first = 0; first < ids.length && length > 0; first += perRun) {
      int count = Math.min(perRun, ids.length - first);
      LongBuffer chunk = LongBuffer.allocate(count * length);
      for (int row = first; row < first + count; row++) {
        for (int id : ids[row]) {
          chunk.put(id);
        }
      }
      boolean last = first + count == ids.length;
      float[] states = session.run(input, chunk.flip(), new long[] {count, length}, last);
      checkFinite(states, first, length);
      System.arraycopy(states, 0, values, first * length * width, states.length);
    }
    return new HiddenStates(values, ids.length, length, width);
  }

  private void check(int[][] ids, int length) {
    if (length > maxLength) {
      throw new LongAlignException(
          directory
              + " reads at most "
              + maxLength
              + " tokens, found a sequence of "
              + length
              + "; cut the text or split it into segments");
    }
    for (int row = 0; row < ids.length; row++) {
      if (ids[row].length != length) {
        throw new LongAlignException(
            "expected sequences of equal length "
                + length
                + ", found "
                + ids[row].length
                + " tokens in sequence "
                + row
                + "; pad them");
      }
      for (int column = 0; column < length; column++) {
        if (ids[row][column] < 0 || ids[row][column] >= vocabSize) {
          throw new LongAlignException(
              "token "
                  + column
                  + " of sequence "
                  + row
                  + ": expected an id from 0 to "
                  + (vocabSize - 1)
                  + " for "
                  + directory
                  + ", found "
                  + ids[row][column]
                  + "; use the tokenizer that belongs to this model");
        }
      }
    }
  }

  private void checkFinite(float[] states, int first, int length) {
    for (int i = 0; i < states.length; i++) {
      if (!Float.isFinite(states[i])) {
        int token = i / width;
        throw new LongAlignException(
            "the hidden state of token "
                + token % length
                + " of sequence "
                + (first + token / length)
                + " from "
                + directory
                + ": expected finite numbers, found "
                + states[i]
                + "; the weights are damaged or hold values that are no numbers: download them again");
      }
    }
  }

  @Override
  public void close() {
    session.close();
    weights.close();
  }
}
