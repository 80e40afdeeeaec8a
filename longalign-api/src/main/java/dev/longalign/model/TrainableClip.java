package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.nn.Parameter;
import dev.longalign.nn.WeightSource;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * CLIP (Radford et al. 2021) in training: both towers, both projections and the scale of scores,
 * with transformers' names. Parameters are f32 whatever it computes in.
 *
 * <pre>{@code
 * TrainableClip clip = TrainableClip.load(config, new FileWeights(file), autograd, DType.F32);
 * Tensor texts = clip.textFeatures(ids).normalizeRows();        // [texts, projection]
 * Tensor pictures = clip.imageFeatures(pixels).normalizeRows(); // [pictures, projection]
 * Tensor logits = texts.matmul(pictures, true).scaleExp(clip.logitScale());
 * }</pre>
 */
public final class TrainableClip implements AutoCloseable {
  /** CLIP keeps scores from being scaled by more than 100. */
  public static final float MAX_LOGIT_SCALE = (float) Math.log(100);

  private final ClipConfig config;
  private final DType dtype;
  private final TensorScope owner = TensorScope.detached();
  private final Map<String, TrainableParameter> parameters = new LinkedHashMap<>();
  private final TrainableClipLayers text;
  private final TrainableClipLayers vision;

  private TrainableClip(ClipConfig config, DType dtype) {
    ClipTextConfig t = config.text();
    ClipVisionConfig v = config.vision();
    this.config = config;
    this.dtype = dtype;
    this.text =
        new TrainableClipLayers(
                "text_model",
                t.layers(),
                t.heads(),
                t.layerNormEpsilon(),
                t.activation(),
                true,
                this::value)
            .checked(t.source());
    this.vision =
        new TrainableClipLayers(
                "vision_model",
                v.layers(),
                v.heads(),
                v.layerNormEpsilon(),
                v.activation(),
                false,
                this::value)
            .checked(v.source());
  }

  /**
   * @param source initial values: files, or {@link ClipInitialWeights}
   * @param dtype the type to compute in
   * @throws LongAlignException listing every tensor of the source that is missing, unexpected or of
   *     another shape
   */
  public static TrainableClip load(
      ClipConfig config, WeightSource source, AutogradBackend autograd, DType dtype) {
    TrainableClip clip = new TrainableClip(config, dtype);
    List<Parameter> declared = config.parameters();
    source.check(declared);
    for (Parameter parameter : declared) {
      try (TensorScope scope = TensorScope.open()) {
        Tensor value = autograd.variable(source.load(autograd, parameter));
        clip.parameters.put(
            parameter.name(),
            new TrainableParameter(parameter.name(), clip.owner.adopt(value), parameter.shape()));
      }
    }
    return clip;
  }

  public ClipConfig config() {
    return config;
  }

  /** By transformers' names, in its order of registration. */
  public List<TrainableParameter> parameters() {
    return new ArrayList<>(parameters.values());
  }

  private Tensor value(String name) {
    return parameters.get(name).value();
  }

  // ---- scores

  /** The logarithm of what scores are multiplied by in training: an f32 scalar. */
  public Tensor logitScale() {
    return value(ClipConfig.LOGIT_SCALE);
  }

  /** Brings the scale back to [1, 100], in place, as CLIP does between steps. */
  public void clampLogitScale() {
    Tensor scale = logitScale();
    float now = scale.toFloats()[0];
    float within = Math.max(0, Math.min(MAX_LOGIT_SCALE, now));
    if (within != now) {
      try (TensorScope scope = TensorScope.open()) {
        Tensor change = Tensor.of(scale.backend(), scale.shape(), within - now);
        scale.backend().training().accumulate(scale, 1, change);
      }
    }
  }

  // ---- texts

  /**
   * Features of texts, not normalised: [texts, projection].
   *
   * @param ids with start and end token, not padded
   */
  public Tensor textFeatures(List<int[]> ids) {
    int[] order = new int[ids.size()]; // the place of each text among those that were encoded
    List<Tensor> features = new ArrayList<>();
    List<Integer> byLength = new ArrayList<>();
    for (int i = 0; i < ids.size(); i++) {
      check(ids.get(i), i);
      byLength.add(i);
    }
    byLength.sort(Comparator.comparingInt(i -> ids.get(i).length));
    try (TensorScope scope = TensorScope.open()) {
      for (int from = 0; from < ids.size(); ) {
        // Texts of about one length together: less padding.
        int most = ids.get(byLength.get(from)).length * 3 / 2;
        List<int[]> some = new ArrayList<>();
        for (; from < ids.size() && ids.get(byLength.get(from)).length <= most; from++) {
          order[byLength.get(from)] = from;
          some.add(ids.get(byLength.get(from)));
        }
        features.add(encode(some));
      }
      return scope.keep(Tensor.concat(0, features.toArray(new Tensor[0])).gatherRows(order));
    }
  }

  /**
   * Sequences as one rectangle. What is shorter than the longest is filled up, which no position
   * before it sees.
   */
  private Tensor encode(List<int[]> ids) {
    int length = ids.stream().mapToInt(row -> row.length).max().orElse(0);
    int[] tokens = new int[Math.multiplyExact(ids.size(), length)];
    int[] ends = new int[ids.size()];
    for (int i = 0; i < ids.size(); i++) {
      int[] row = ids.get(i);
      System.arraycopy(row, 0, tokens, i * length, row.length);
      ends[i] = i * length + end(row);
    }
    String embeddings = "text_model.embeddings.";
    Tensor x = value(embeddings + "token_embedding.weight").gatherRows(tokens); // [B L, width]
    x = x.add(positions(embeddings, ids.size(), length));
    int width = config.text().width();
    x = text.forward(x.reshape(ids.size(), length, width).cast(dtype)); // [B, L, width]
    x = x.reshape(tokens.length, width).gatherRows(ends); // [B, width]
    x = text.norm("text_model.final_layer_norm", x); // of these rows only: it goes row by row
    return x.linear(value("text_projection.weight"), null).cast(DType.F32);
  }

  /** The first {@code length} rows of the position embedding, once for each sequence. */
  private Tensor positions(String embeddings, int sequences, int length) {
    int[] rows = new int[sequences * length];
    Arrays.setAll(rows, i -> i % length);
    return value(embeddings + "position_embedding.weight").gatherRows(rows); // [B L, width]
  }

  private void check(int[] row, int index) {
    int most = config.text().maxPositions();
    if (row.length == 0 || row.length > most) {
      throw new LongAlignException(
          "text " + index + ": expected 1 to " + most + " tokens, found " + row.length);
    }
    for (int id : row) {
      if (id < 0 || id >= config.text().vocabSize()) {
        throw new LongAlignException(
            "text "
                + index
                + ": expected ids from 0 to "
                + (config.text().vocabSize() - 1)
                + ", found "
                + id
                + "; use the tokenizer that belongs to this model");
      }
    }
  }

  /** The first end token; the largest id where the config still has CLIP's old eos 2. */
  private int end(int[] row) {
    int eos = config.text().eosTokenId();
    int at = 0;
    for (int i = 1; i < row.length; i++) {
      boolean better = eos == 2 ? row[i] > row[at] : row[at] != eos && row[i] == eos;
      at = better ? i : at;
    }
    return at;
  }

  // ---- pictures

  /**
   * Features of pictures, not normalised: [pictures, projection].
   *
   * @param pixels [pictures, size, size, 3] f32, preprocessed
   */
  public Tensor imageFeatures(Tensor pixels) {
    ClipVisionConfig v = config.vision();
    int size = v.imageSize();
    if (pixels.shape().rank() != 4
        || pixels.dim(1) != size
        || pixels.dim(2) != size
        || pixels.dim(3) != ClipVisionConfig.CHANNELS) {
      throw new LongAlignException(
          "CLIP: expected pictures ["
              + "B, "
              + size
              + ", "
              + size
              + ", "
              + ClipVisionConfig.CHANNELS
              + "], found "
              + pixels.shape());
    }
    int batch = pixels.dim(0);
    int width = v.width();
    int patches = v.grid() * v.grid();
    Conv2dGeometry geometry =
        Conv2dGeometry.of(ClipVisionConfig.CHANNELS, width, v.patchSize(), v.patchSize(), 0);
    try (TensorScope scope = TensorScope.open()) {
      String embeddings = "vision_model.embeddings.";
      // 1. patches, the class token before them, positions
      Tensor x = pixels.cast(dtype).conv2d(value(embeddings + "patch_embedding.weight"), geometry);
      Tensor first =
          value(embeddings + "class_embedding").reshape(1, width).gatherRows(new int[batch]);
      x =
          Tensor.concat(
              1,
              first.reshape(batch, 1, width).cast(dtype),
              x.reshape(batch, patches, width)); // [B, L, width]
      Tensor positions = positions(embeddings, batch, patches + 1).cast(dtype);
      x = x.add(positions.reshape(batch, patches + 1, width));
      // 2. layers
      x = vision.forward(vision.norm("vision_model.pre_layrnorm", x));
      // 3. the class token
      int[] tokens = new int[batch];
      Arrays.setAll(tokens, b -> b * (patches + 1));
      x = x.reshape((long) batch * (patches + 1), width).gatherRows(tokens); // [B, width]
      x = vision.norm("vision_model.post_layernorm", x);
      return scope.keep(x.linear(value("visual_projection.weight"), null).cast(DType.F32));
    }
  }

  /** Frees the parameters. */
  @Override
  public void close() {
    owner.close();
  }
}
