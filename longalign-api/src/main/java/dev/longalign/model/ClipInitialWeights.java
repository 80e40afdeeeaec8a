package dev.longalign.model;

import dev.longalign.nn.Parameter;
import dev.longalign.nn.WeightSource;
import dev.longalign.random.NoiseSource;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Tensor;
import java.util.Arrays;
import java.util.List;

/**
 * The parameters of a new CLIPModel as transformers begins one: embeddings with a standard
 * deviation of 0.02, projections and the first products of a layer with the inverse root of their
 * inputs, what ends in the residual stream smaller with the number of layers (Radford et al. 2019),
 * biases zero, norms the identity.
 */
public final class ClipInitialWeights implements WeightSource {
  private static final double EMBEDDING = 0.02;
  private static final float LOGIT_SCALE = 2.6592f; // ln(1 / 0.07)

  private final ClipConfig config;
  private final NoiseSource noise;

  /**
   * @param noise is drawn from once for every parameter that is not constant, in the order of
   *     {@link ClipConfig#parameters}
   */
  public ClipInitialWeights(ClipConfig config, NoiseSource noise) {
    this.config = config;
    this.noise = noise;
  }

  /** Accepts everything. */
  @Override
  public void check(List<Parameter> declared) {}

  @Override
  public Tensor load(Backend backend, Parameter parameter) {
    float[] values = new float[Math.toIntExact(parameter.shape().size())];
    String name = parameter.name();
    if (name.equals(ClipConfig.LOGIT_SCALE)) {
      double initial =
          config.json().has("logit_scale_init_value")
              ? config.json().get("logit_scale_init_value").getAsDouble()
              : LOGIT_SCALE;
      values[0] = (float) initial;
    } else if (name.contains("norm") && name.endsWith(".weight")) {
      Arrays.fill(values, 1);
    } else if (!name.endsWith(".bias")) {
      noise.randn(values);
      double deviation = deviation(name);
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (values[i] * deviation);
      }
    }
    return Tensor.of(backend, parameter.shape(), values);
  }

  /** Standard deviation of a weight. */
  private double deviation(String name) {
    boolean ofText = name.startsWith("text");
    double width = ofText ? config.text().width() : config.vision().width();
    double layers = ofText ? config.text().layers() : config.vision().layers();
    if (name.endsWith("fc1.weight")) {
      return 1 / Math.sqrt(2 * width);
    }
    if (name.endsWith("q_proj.weight")
        || name.endsWith("k_proj.weight")
        || name.endsWith("v_proj.weight")
        || name.endsWith("fc2.weight")) {
      return 1 / Math.sqrt(width * 2 * layers);
    }
    if (name.endsWith("out_proj.weight")
        || name.endsWith("_projection.weight")
        || name.endsWith("class_embedding")) {
      return 1 / Math.sqrt(width);
    }
    return EMBEDDING;
  }
}
