package dev.longalign.onnx.graph;

import dev.longalign.io.TensorFile;
import dev.longalign.model.ClipVisionConfig;
import dev.longalign.tensor.DType;
import java.util.function.BinaryOperator;

/**
 * CLIP's vision tower (Radford et al. 2021, section 2.4; Dosovitskiy et al. 2021): patches, a class
 * token, positions, pre-norm transformer layers, the class token's state in the space shared with
 * texts. And its vector-Jacobian product with respect to the picture.
 */
public final class ClipVisionGraph {
  /** Name of the first input: f32 [batch, 3, imageSize, imageSize], normalised. */
  public static final String PIXELS = "pixel_values";

  /** Name of the first output: f32 [batch, projection], not normalised. */
  public static final String FEATURES = "image_embeds";

  /** Name of {@link #buildGradient}'s second input: f32 [batch, projection]. */
  public static final String COTANGENT = "image_embeds_gradient";

  /** Name of {@link #buildScoreGradient}'s second input: f32 [batch, projection]. */
  public static final String TEXTS = "text_embeds";

  /** Name of the gradients' output, of the shape of {@link #PIXELS}. */
  public static final String GRADIENT = "pixel_values_gradient";

  private final ClipVisionConfig config;
  private final OnnxGraph graph;
  private final GraphOps ops;

  private ClipVisionGraph(ClipVisionConfig config, String name) {
    this.config = config;
    this.graph = new OnnxGraph(name);
    this.ops = new GraphOps(graph);
  }

  /** From {@link #PIXELS} to {@link #FEATURES}. */
  public static OnnxGraph build(ClipVisionConfig config, TensorFile source) {
    ClipVisionGraph builder = new ClipVisionGraph(config, "clip_vision");
    builder.forward(builder.pixels(), source);
    return builder.graph;
  }

  /**
   * From {@link #PIXELS} and {@link #COTANGENT} to {@link #FEATURES} and {@link #GRADIENT}, which
   * is the gradient of {@code sum(features * cotangent)}, a picture apiece.
   */
  public static OnnxGraph buildGradient(ClipVisionConfig config, TensorFile source) {
    ClipVisionGraph builder = new ClipVisionGraph(config, "clip_vision_gradient");
    builder.backward(COTANGENT, source, (features, cotangent) -> cotangent);
    return builder.graph;
  }

  /**
   * From {@link #PIXELS} and {@link #TEXTS} to {@link #FEATURES} and {@link #GRADIENT}, which is
   * the gradient of {@code sum(text * features / |features|)}, a picture apiece: one pass does what
   * otherwise takes the features first.
   */
  public static OnnxGraph buildScoreGradient(ClipVisionConfig config, TensorFile source) {
    ClipVisionGraph builder = new ClipVisionGraph(config, "clip_vision_score_gradient");
    builder.backward(TEXTS, source, builder::cosineCotangent);
    return builder.graph;
  }

  private void backward(String input, TensorFile source, BinaryOperator<Value> cotangent) {
    Value pixels = pixels();
    Value given = graph.input(input, DType.F32, "batch", Integer.toString(config.projection()));
    Value features = forward(pixels, source);
    Value gradient = GraphGradient.of(graph, features, cotangent.apply(features, given), pixels);
    graph.output(GRADIENT, gradient, pictureDims());
  }

  /** With n = I / |I|: (T - {@code <T, n>} n) / |I|. */
  private Value cosineCotangent(Value image, Value text) {
    Value length = ops.sqrt(ops.sum(ops.mul(image, image)));
    Value direction = ops.div(image, length);
    Value along = ops.mul(direction, ops.sum(ops.mul(text, direction)));
    return ops.div(ops.sub(text, along), length);
  }

  private Value pixels() {
    return graph.input(PIXELS, DType.F32, pictureDims());
  }

  private String[] pictureDims() {
    String side = Integer.toString(config.imageSize());
    return new String[] {"batch", Integer.toString(ClipVisionConfig.CHANNELS), side, side};
  }

  private Value forward(Value pixels, TensorFile source) {
    GraphWeights weights = new GraphWeights(graph, source);
    GraphWeights tower = weights.in("vision_model");
    GraphWeights embeddings = tower.in("embeddings");
    long width = config.width();
    long patch = config.patchSize();
    long grid = config.grid();
    long length = grid * grid + 1;
    ClipLayers layers =
        new ClipLayers(
            ops,
            config.width(),
            config.feedForward(),
            config.heads(),
            config.layerNormEpsilon(),
            config.activation());

    // 1. patches [batch, grid * grid, width], the class token before them
    Value read = pixels;
    for (int axis = 2; axis <= 3 && grid * patch < config.imageSize(); axis++) {
      read = ops.slice(read, axis, 0, grid * patch);
    }
    GraphWeights embedding = embeddings.in("patch_embedding");
    Value kernel = embedding.at("weight", width, ClipVisionConfig.CHANNELS, patch, patch);
    Value bias = embedding.has("bias") ? embedding.at("bias", width) : null;
    Value patches = ops.patches(read, kernel, bias, patch);
    Value sequence = ops.transpose(ops.reshape(patches, ops.ints(0, width, -1)), 0, 2, 1);
    Value batch = ops.unsqueeze(ops.extent(pixels, 0), 0);
    Value classToken =
        ops.expand(
            embeddings.at("class_embedding", width), ops.concat(0, batch, ops.ints(1, width)));
    Value x = ops.concat(1, classToken, sequence);

    // 2. positions; then one row per token, as in the text tower
    x = ops.add(x, embeddings.in("position_embedding").at("weight", length, width));
    x = layers.norm(tower.in("pre_layrnorm"), ops.reshape(x, ops.ints(-1, width)));

    // 3. layers
    Value splitShape = ops.ints(-1, length, config.heads(), width / config.heads());
    for (int i = 0; i < config.layers(); i++) {
      x = layers.forward(tower.in("encoder.layers." + i), x, splitShape, null);
    }
    tower.warnOfMore("encoder.layers." + config.layers() + ".layer_norm1.weight", config.source());

    // 4. the class token
    x = ops.slice(ops.reshape(x, ops.ints(-1, length, width)), 1, 0, 1);
    x = layers.norm(tower.in("post_layernorm"), ops.reshape(x, ops.ints(-1, width)));
    Value projection = weights.in("visual_projection").at("weight", config.projection(), width);
    Value features = ops.linear(x, projection, null);
    graph.output(FEATURES, features, "batch", Integer.toString(config.projection()));
    weights.check(config.source());
    return features;
  }
}
