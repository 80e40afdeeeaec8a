package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.nn.LayerBranches;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.Linear;
import dev.longalign.nn.WeightSource;
import dev.longalign.nn.Weights;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.List;

/**
 * Pictures to latents and back: AutoencoderKL of diffusers ({@code
 * models/autoencoders/autoencoder_kl.py}). Pictures are [B, H, W, 3] in [-1, 1]. Latents are the
 * autoencoder's own here, unless a method says scaled: the diffusion model works with {@code
 * (latents - shiftFactor) * scalingFactor}. Thread-safe.
 */
public final class AutoencoderKL implements AutoCloseable {
  private final AutoencoderKLConfig config;
  private final DType dtype;
  private final TensorScope owner;

  private final VaeEncoder encoder;
  private final VaeDecoder decoder;
  private final Linear quantConv;
  private final Linear postQuantConv;

  private AutoencoderKL(
      AutoencoderKLConfig config, Weights weights, DType dtype, TensorScope owner) {
    this.config = config;
    this.dtype = dtype;
    this.owner = owner;
    int latent = config.latentChannels();
    encoder = new VaeEncoder(weights.at("encoder"), config);
    decoder = new VaeDecoder(weights.at("decoder"), config);
    quantConv =
        config.useQuantConv()
            ? Linear.pointwise(weights.at("quant_conv"), 2 * latent, 2 * latent)
            : null;
    postQuantConv =
        config.usePostQuantConv()
            ? Linear.pointwise(weights.at("post_quant_conv"), latent, latent)
            : null;
  }

  /**
   * @throws LongAlignException listing every tensor of the source that is missing, unexpected or of
   *     another shape
   */
  public static AutoencoderKL load(
      AutoencoderKLConfig config, WeightSource source, Backend backend, DType dtype) {
    return Weights.load(
        source,
        backend,
        dtype,
        LayerBranches.NONE,
        (weights, owner) -> new AutoencoderKL(config, weights, dtype, owner));
  }

  /** Every layer that such an autoencoder has. */
  public static List<LayerSpec> layers(AutoencoderKLConfig config) {
    return Weights.declare(weights -> new AutoencoderKL(config, weights, null, null));
  }

  /**
   * The current name of a parameter of the middle attention that goes by an older one (query, key,
   * value, proj_attn) in files that early diffusers wrote, Stable Diffusion 1.5's among them; other
   * names stay.
   */
  public static String currentName(String name) {
    if (!name.contains("attentions.")) {
      return name;
    }
    return name.replace(".query.", ".to_q.")
        .replace(".key.", ".to_k.")
        .replace(".value.", ".to_v.")
        .replace(".proj_attn.", ".to_out.0.");
  }

  public AutoencoderKLConfig config() {
    return config;
  }

  /** The type this model computes in. */
  public DType dtype() {
    return dtype;
  }

  /**
   * The distribution of the latents of a picture: mean, then log variance.
   *
   * @param pictures [B, H, W, 3]; sides are multiples of {@link AutoencoderKLConfig#downscale()}
   * @return [B, H/8, W/8, 2 * latentChannels], of the same type
   */
  public Tensor moments(Tensor pictures) {
    int multiple = config.downscale();
    Shape shape = pictures.shape();
    if (shape.rank() != 4
        || shape.dim(3) != config.inChannels()
        || shape.dim(1) % multiple != 0
        || shape.dim(2) % multiple != 0
        || shape.size() == 0) {
      throw new LongAlignException(
          "VAE encode: expected [B, H, W, "
              + config.inChannels()
              + "] with H and W multiples of "
              + multiple
              + ", found "
              + shape
              + "; crop or resize the picture");
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor h = encoder.forward(pictures.cast(dtype)); // [B, h, w, 2 * latent]
      Tensor moments = quantConv == null ? h : quantConv.forward(h); // [B, h, w, 2 * latent]
      return scope.keep(moments.cast(pictures.dtype()));
    }
  }

  /** {@link #moments} as a distribution to sample from. */
  public DiagonalGaussian encode(Tensor pictures) {
    try (TensorScope scope = TensorScope.open()) {
      return DiagonalGaussian.of(moments(pictures));
    }
  }

  /**
   * Pictures [B, 8h, 8w, 3] of latents [B, h, w, latentChannels], of the same type. Values may lie
   * a little outside [-1, 1].
   */
  public Tensor decode(Tensor latents) {
    Shape shape = latents.shape();
    if (shape.rank() != 4 || shape.dim(3) != config.latentChannels() || shape.size() == 0) {
      throw new LongAlignException(
          "VAE decode: expected latents [B, h, w, "
              + config.latentChannels()
              + "], found "
              + shape);
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = latents.cast(dtype); // [B, h, w, latent]
      Tensor h = postQuantConv == null ? x : postQuantConv.forward(x); // [B, h, w, latent]
      return scope.keep(decoder.forward(h).cast(latents.dtype())); // [B, 8h, 8w, 3]
    }
  }

  /**
   * {@link #decode} of {@code scaled / scalingFactor + shiftFactor}, the latents of the diffusion
   * model.
   */
  public Tensor decodeScaled(Tensor scaled) {
    try (TensorScope scope = TensorScope.open()) {
      return scope.keep(decode(unscale(scaled)));
    }
  }

  /**
   * Bytes without which no picture of so many latents passes: the widest convolution's input and
   * output. What lies around it takes as much again, and more.
   */
  public long leastBytes(int height, int width) {
    long pixels = (long) height * width * config.downscale() * config.downscale();
    int widest = config.blockOutChannels().stream().limit(2).max(Integer::compare).orElseThrow();
    return pixels * 2 * widest * dtype.bytes();
  }

  /** The autoencoder's latents of the diffusion model's. */
  public Tensor unscale(Tensor scaled) {
    return Affine.of(scaled, 1 / config.scalingFactor(), config.shiftFactor());
  }

  /** The diffusion model's latents of the autoencoder's. */
  public Tensor scale(Tensor latents) {
    return Affine.of(
        latents, config.scalingFactor(), -config.scalingFactor() * config.shiftFactor());
  }

  /** Frees the weights. */
  @Override
  public void close() {
    owner.close();
  }
}
