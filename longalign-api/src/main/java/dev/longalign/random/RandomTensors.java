package dev.longalign.random;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;

/**
 * Noise as tensors. PyTorch draws pictures channel by channel (NCHW); the result here is NHWC,
 * element for element.
 */
public final class RandomTensors {
  private RandomTensors() {}

  /**
   * N(0, 1) of the shape [B, H, W, C], f32: what one {@code torch.randn(B, C, H, W)} gives,
   * transposed.
   *
   * @throws LongAlignException if the shape is not [B, H, W, C]
   */
  public static Tensor randn(Backend backend, NoiseSource noise, Shape nhwc) {
    if (nhwc.rank() != 4) {
      throw new LongAlignException("noise: expected a shape [B, H, W, C], found " + nhwc);
    }
    int size = Math.toIntExact(nhwc.size());
    return Tensor.of(backend, nhwc, toNhwc(noise.randn(size), nhwc));
  }

  /** Reorders values from [B, C, H, W] to [B, H, W, C]. */
  static float[] toNhwc(float[] nchw, Shape nhwc) {
    int pixels = nhwc.intDim(1) * nhwc.intDim(2);
    int channels = nhwc.intDim(3);
    float[] out = new float[nchw.length];
    int from = 0;
    for (int image = 0; image < nhwc.intDim(0); image++) {
      for (int channel = 0; channel < channels; channel++) {
        int to = image * pixels * channels + channel;
        for (int pixel = 0; pixel < pixels; pixel++, to += channels) {
          out[to] = nchw[from++];
        }
      }
    }
    return out;
  }
}
