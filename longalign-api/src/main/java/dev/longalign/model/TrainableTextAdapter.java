package dev.longalign.model;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.Reasons;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.nn.LayerDropout;
import dev.longalign.nn.LayerSpec;
import dev.longalign.nn.Parameter;
import dev.longalign.nn.WeightSource;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * {@link TextAdapter} in training: the same names and the same function, with dropout after each
 * GEGLU. Parameters are f32 whatever it computes in. It is a {@link WeightSource} too, so that a
 * frozen adapter can be loaded from its present values.
 */
public final class TrainableTextAdapter implements WeightSource, AutoCloseable {
  private static final float NORM_EPS = 1e-5f;

  private final TextAdapterConfig config;
  private final DType dtype;
  private final LayerDropout dropout;
  private final TensorScope owner = TensorScope.detached();
  private final Map<String, TrainableParameter> parameters = new LinkedHashMap<>();

  private TrainableTextAdapter(TextAdapterConfig config, DType dtype, LayerDropout dropout) {
    this.config = config;
    this.dtype = dtype;
    this.dropout = dropout;
  }

  /**
   * @param source initial values: files, or {@link dev.longalign.nn.RandomWeights}
   * @param dtype the type to compute in
   * @param dropout is asked for {@code ff1.net.1} and {@code ff2.net.1}
   * @throws LongAlignException listing every tensor of the source that is missing, unexpected or of
   *     another shape
   */
  public static TrainableTextAdapter load(
      TextAdapterConfig config,
      WeightSource source,
      AutogradBackend autograd,
      DType dtype,
      LayerDropout dropout) {
    List<Parameter> declared = LayerSpec.parameters(TextAdapter.layers(config));
    source.check(declared);
    TrainableTextAdapter adapter = new TrainableTextAdapter(config, dtype, dropout);
    for (Parameter parameter : declared) {
      try (TensorScope scope = TensorScope.open()) {
        Tensor value = autograd.variable(source.load(autograd, parameter));
        adapter.parameters.put(
            parameter.name(),
            new TrainableParameter(
                parameter.name(), adapter.owner.adopt(value), parameter.shape()));
      }
    }
    return adapter;
  }

  /** In the order in which the reference registers them. */
  public List<TrainableParameter> parameters() {
    return new ArrayList<>(parameters.values());
  }

  /** {@code [B, L, inDim] -> [B, L, outDim]}, of the same type. */
  public Tensor forward(Tensor hiddenStates) {
    if (hiddenStates.shape().rank() < 2 || hiddenStates.dim(-1) != config.inDim()) {
      throw new LongAlignException(
          "TextAdapter: expected [B, L, "
              + config.inDim()
              + "], found "
              + hiddenStates.shape()
              + " (hidden states of another T5?)");
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = hiddenStates.cast(dtype); // [B, L, in]
      x = feedForward("ff1", norm("norm1", x)); // [B, L, int]
      x = feedForward("ff2", norm("norm2", x)); // [B, L, out]
      return scope.keep(x.cast(hiddenStates.dtype()));
    }
  }

  private Tensor norm(String name, Tensor x) {
    return x.layerNorm(value(name + ".weight"), value(name + ".bias"), NORM_EPS);
  }

  private Tensor feedForward(String name, Tensor x) {
    Tensor both = linear(name + ".net.0.proj", x); // [..., 8 in]
    Tensor h = dropout.apply(name + ".net.1", both.gatedGelu()); // [..., 4 in]
    return linear(name + ".net.2", h); // [..., out]
  }

  private Tensor linear(String name, Tensor x) {
    return x.linear(value(name + ".weight"), value(name + ".bias"));
  }

  private Tensor value(String name) {
    return parameters.get(name).value();
  }

  /** Accepts an adapter of the same config. */
  @Override
  public void check(List<Parameter> declared) {
    for (Parameter parameter : declared) {
      TrainableParameter own = parameters.get(parameter.name());
      if (own == null || !own.shape().equals(parameter.shape())) {
        throw new LongAlignException(
            "the adapter in training has "
                + (own == null ? "no" : own.shape() + " as")
                + " "
                + parameter.name()
                + ", expected "
                + parameter.shape());
      }
    }
  }

  @Override
  public Tensor load(Backend backend, Parameter parameter) {
    return Tensor.of(backend, parameter.shape(), value(parameter.name()).toFloats());
  }

  /**
   * Writes a diffusers directory in f32, file by file: config and weights.
   *
   * @throws LongAlignException if it cannot be written
   */
  public void write(Path directory) {
    try {
      Files.createDirectories(directory);
    } catch (IOException e) {
      throw new LongAlignException(directory + ": cannot be created (" + Reasons.of(e) + ")", e);
    }
    SafetensorsWriter.write(
        directory.resolve("diffusion_pytorch_model.safetensors"),
        parameters.values().stream().map(p -> p.stored(DType.F32)).toList());
    JsonObject json = new JsonObject();
    json.addProperty("_class_name", "TextAdapter");
    json.addProperty("in_dim", config.inDim());
    json.addProperty("int_dim", config.intDim());
    json.addProperty("out_dim", config.outDim());
    String text = new GsonBuilder().setPrettyPrinting().create().toJson(json) + "\n";
    AtomicFiles.write(
        directory.resolve("config.json"), out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
  }

  /** Frees the parameters. */
  @Override
  public void close() {
    owner.close();
  }
}
