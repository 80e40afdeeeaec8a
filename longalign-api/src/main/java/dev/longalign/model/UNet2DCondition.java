package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.nn.Conv2d;
import dev.longalign.nn.CrossAttention;
import dev.longalign.nn.GroupNorm;
import dev.longalign.nn.LayerBranches;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.TimestepEmbedding;
import dev.longalign.nn.WeightSource;
import dev.longalign.nn.Weights;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.stream.Stream;

/**
 * The noise predictor of Stable Diffusion: UNet2DConditionModel of diffusers ({@code
 * models/unets/unet_2d_condition.py}), for the configs that {@link UNet2DConditionConfig} accepts.
 * Thread-safe.
 *
 * <pre>{@code
 * try (UNet2DCondition unet = UNet2DCondition.load(config, source, backend, DType.F32);
 *     TensorScope scope = TensorScope.open()) {
 *   PreparedContext context = unet.prepareContext(encoderHiddenStates);   // [B, 480, 768], once
 *   Tensor noise = unet.forward(latents, 999, context);                   // [B, 64, 64, 4], each step
 * }
 * }</pre>
 */
public final class UNet2DCondition implements AutoCloseable {
  private final UNet2DConditionConfig config;
  private final Backend backend;
  private final DType dtype;
  private final TensorScope owner;

  final Conv2d convIn;
  final TimestepEmbedding timeEmbedding;
  final List<UNetBlock> downBlocks = new ArrayList<>();
  final List<UNetBlock> upBlocks = new ArrayList<>();
  final UNetBlock midBlock;
  final GroupNorm convNormOut;
  final Conv2d convOut;

  private UNet2DCondition(
      UNet2DConditionConfig config,
      Weights weights,
      Backend backend,
      DType dtype,
      TensorScope owner) {
    this.config = config;
    this.backend = backend;
    this.dtype = dtype;
    this.owner = owner;
    List<UNet2DConditionConfig.Level> levels = config.levels();
    int count = levels.size();
    int first = levels.get(0).channels();

    convIn = Conv2d.same(weights.at("conv_in"), config.inChannels(), first, config.convInKernel());
    timeEmbedding =
        new TimestepEmbedding(
            weights.at("time_embedding"),
            first,
            config.timeEmbedDim(),
            config.flipSinToCos(),
            config.freqShift(),
            config.timeCondProjDim());
    for (int i = 0; i < count; i++) {
      int in = levels.get(Math.max(0, i - 1)).channels();
      downBlocks.add(
          UNetBlock.down(weights.at("down_blocks", i), levels.get(i), in, i == count - 1, config));
    }
    for (int i = 0; i < count; i++) {
      int level = count - 1 - i;
      int previous = levels.get(Math.min(count - 1, level + 1)).channels();
      int skipIn = levels.get(Math.max(0, level - 1)).channels();
      upBlocks.add(
          UNetBlock.up(
              weights.at("up_blocks", i),
              config.upLevel(level),
              previous,
              skipIn,
              level == 0,
              config));
    }
    // Third, although it runs second: the reference registers it after the way up, and positional
    // LoRA files rely
    // on it.
    midBlock =
        config.mid() == null
            ? null
            : UNetBlock.mid(weights.at("mid_block"), config.midLevel(), config);
    convNormOut =
        new GroupNorm(
            weights.at("conv_norm_out"),
            config.normNumGroups(),
            first,
            config.normEps(),
            Activation.SILU);
    convOut =
        Conv2d.same(weights.at("conv_out"), first, config.outChannels(), config.convOutKernel());
  }

  /** Without LoRAs at run time. */
  public static UNet2DCondition load(
      UNet2DConditionConfig config, WeightSource source, Backend backend, DType dtype) {
    return load(config, source, backend, dtype, LayerBranches.NONE);
  }

  /**
   * @param dtype the type to compute in
   * @param branches what runs beside the layers, for example {@link Lora#injected}
   * @throws LongAlignException listing every tensor of the source that is missing, unexpected or of
   *     another shape
   */
  public static UNet2DCondition load(
      UNet2DConditionConfig config,
      WeightSource source,
      Backend backend,
      DType dtype,
      LayerBranches branches) {
    return Weights.load(
        source,
        backend,
        dtype,
        branches,
        (weights, owner) -> new UNet2DCondition(config, weights, backend, dtype, owner));
  }

  /** Every layer that such a UNet has, in the reference's registration order. */
  public static List<LayerSpec> layers(UNet2DConditionConfig config) {
    return Weights.declare(weights -> new UNet2DCondition(config, weights, null, null, null));
  }

  /** The layers that LongAlign adapts, in the order of its positional LoRA files. */
  public static List<LayerSpec> loraLayers(UNet2DConditionConfig config) {
    return layers(config).stream().filter(LayerSpec::loraTarget).toList();
  }

  public UNet2DConditionConfig config() {
    return config;
  }

  public Backend backend() {
    return backend;
  }

  /** The type this model computes in. */
  public DType dtype() {
    return dtype;
  }

  /**
   * What the cross-attention layers make of {@code encoderHiddenStates} [B, S, crossAttentionDim].
   */
  public PreparedContext prepareContext(Tensor encoderHiddenStates) {
    Shape shape = encoderHiddenStates.shape();
    if (shape.rank() != 3 || shape.dim(2) != config.crossAttentionDim()) {
      throw new LongAlignException(
          "UNet context: expected [B, S, "
              + config.crossAttentionDim()
              + "], found "
              + shape
              + (shape.rank() == 3 ? " (a text encoder of another model?)" : ""));
    }
    try (TensorScope scope = TensorScope.open()) {
      List<CrossAttention> layers =
          Stream.of(
                  downBlocks, upBlocks, midBlock == null ? List.<UNetBlock>of() : List.of(midBlock))
              .flatMap(List::stream)
              .flatMap(block -> block.attentions.stream())
              .flatMap(transformer -> transformer.blocks.stream())
              .map(block -> block.attn2)
              .toList();
      return new PreparedContext(layers, encoderHiddenStates.cast(dtype)).keepIn(scope);
    }
  }

  /** The prediction for all pictures at one timestep, 0 <= timestep. */
  public Tensor forward(Tensor latents, float timestep, PreparedContext context) {
    float[] timesteps = new float[latents.dim(0)];
    Arrays.fill(timesteps, timestep);
    return forward(latents, timesteps, context, ActivationListener.NONE);
  }

  /** The prediction with a timestep for each picture. */
  public Tensor forward(Tensor latents, float[] timesteps, PreparedContext context) {
    return forward(latents, timesteps, context, ActivationListener.NONE);
  }

  /**
   * The prediction (noise or v, whichever the model was trained for).
   *
   * @param latents [B, H, W, inChannels] of any floating type; the result has the same type
   * @param listener is told the results of the blocks by their state-dict names
   */
  public Tensor forward(
      Tensor latents, float[] timesteps, PreparedContext context, ActivationListener listener) {
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(forward(latents, sinusoids(timesteps), context, listener));
    }
  }

  /** What a timestep for each picture is to the network, f32 [B, C0]. */
  public Tensor sinusoids(float... timesteps) {
    return timeEmbedding.sinusoids(backend, timesteps);
  }

  /**
   * The same to a network that is told the guidance scale (it needs no unconditional pass), else
   * {@link #sinusoids(float...)}.
   */
  public Tensor guidedSinusoids(float guidanceScale, float... timesteps) {
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(timeEmbedding.sinusoids(backend, guidanceScale, dtype, timesteps));
    }
  }

  /** Whether the network is told the guidance scale, which was distilled into it. */
  public boolean hasGuidanceEmbedding() {
    return config.timeCondProjDim() > 0;
  }

  /**
   * The prediction with {@link #sinusoids} of the timesteps: nothing but operations on the device,
   * for {@link Backend#repeated}.
   */
  public Tensor forward(Tensor latents, Tensor sinusoids, PreparedContext context) {
    return forward(latents, sinusoids, context, ActivationListener.NONE);
  }

  private Tensor forward(
      Tensor latents, Tensor sinusoids, PreparedContext context, ActivationListener listener) {
    checkInputs(latents.shape(), sinusoids.dim(0), context);
    try (TensorScope scope = TensorScope.open()) {
      // 1. time
      Tensor embedding = timeEmbedding.forward(sinusoids, dtype); // [B, T]
      listener.onActivation("time_embedding", embedding);
      Tensor time = embedding.activation(Activation.SILU); // [B, T], shared by all blocks

      // 2. pre-process
      Tensor x = convIn.forward(centered(latents)); // [B, H, W, C0]
      listener.onActivation("conv_in", x);
      Deque<Tensor> skips = new ArrayDeque<>(List.of(x));

      // 3. down
      for (int i = 0; i < downBlocks.size(); i++) {
        downBlocks.get(i).forwardDown(skips.peek(), time, context, skips);
        listener.onActivation("down_blocks." + i, skips.peek()); // [B, H/2^i+1, W/2^i+1, Ci]
      }

      // 4. mid
      x = skips.peek(); // [B, H/8, W/8, C3]
      if (midBlock != null) {
        x = midBlock.forwardMid(x, time, context); // [B, H/8, W/8, C3]
        listener.onActivation("mid_block", x);
      }

      // 5. up
      for (int i = 0; i < upBlocks.size(); i++) {
        x = upBlocks.get(i).forwardUp(x, time, context, skips); // [B, 2H', 2W', Ci]
        listener.onActivation("up_blocks." + i, x);
      }

      // 6. post-process
      Tensor y = convOut.forward(convNormOut.forward(x)); // [B, H, W, out]
      return scope.keep(y.cast(latents.dtype()));
    }
  }

  private Tensor centered(Tensor latents) { // [B, H, W, in]
    Tensor x = latents.cast(dtype);
    return config.centerInputSample() ? Affine.of(x, 2, -1) : x;
  }

  private void checkInputs(Shape latents, int timesteps, PreparedContext context) {
    if (latents.rank() != 4 || latents.dim(3) != config.inChannels()) {
      throw new LongAlignException(
          "UNet latents: expected [B, H, W, " + config.inChannels() + "], found " + latents);
    }
    if (timesteps != latents.dim(0) || context.batch() != latents.dim(0)) {
      throw new LongAlignException(
          "UNet: "
              + latents.dim(0)
              + " latents, "
              + timesteps
              + " timesteps and "
              + context.batch()
              + " captions do not go together; expected one of each per picture");
    }
  }

  /** Frees the weights. */
  @Override
  public void close() {
    owner.close();
  }
}
