package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.nn.LayerBranch;
import dev.longalign.nn.LayerBranches;
import dev.longalign.nn.LayerDropout;
import dev.longalign.nn.LayerSpec;
import dev.longalign.random.NoiseSource;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A LoRA in training, beside frozen layers: {@code base(x) + dropout(up(down(x)))}. The factors are
 * f32 whatever the layers compute in.
 *
 * <pre>{@code
 * TrainableLora lora = TrainableLora.create(autograd, UNet2DCondition.loraLayers(config), 32, noise, dropout);
 * UNet2DCondition unet = UNet2DCondition.load(config, source, autograd, DType.BF16, lora.branches());
 * }</pre>
 */
public final class TrainableLora implements AutoCloseable {
  private final TensorScope owner = TensorScope.detached();
  private final Map<String, Factors> factors = new LinkedHashMap<>();
  private final LayerDropout dropout;

  private TrainableLora(LayerDropout dropout) {
    this.dropout = dropout;
  }

  /** The initial values of one factor. */
  private interface Initial {
    float[] of(LayerSpec layer, boolean up, int size);
  }

  /**
   * As the reference begins: down is normal with standard deviation 1 / rank, up is zero.
   *
   * @param layers those that shall have a LoRA, in the order of the file
   * @param noise is drawn from once per layer, in that order
   */
  public static TrainableLora create(
      AutogradBackend autograd,
      List<LayerSpec> layers,
      int rank,
      NoiseSource noise,
      LayerDropout dropout) {
    if (rank < 1) {
      throw new LongAlignException("LoRA: rank " + rank + ", expected a positive number");
    }
    return build(
        autograd,
        layers,
        layer -> rank,
        (layer, up, size) -> {
          float[] values = new float[size];
          if (!up) {
            noise.randn(values);
            for (int i = 0; i < size; i++) {
              values[i] /= rank;
            }
          }
          return values;
        },
        dropout);
  }

  /**
   * Continues with the values of a LoRA, which has an entry for each of the layers.
   *
   * @throws LongAlignException if an entry is missing or scaled
   */
  public static TrainableLora of(
      AutogradBackend autograd, List<LayerSpec> layers, Lora lora, LayerDropout dropout) {
    for (LayerSpec layer : layers) {
      Lora.Entry entry = lora.entries().get(layer.path());
      if (entry == null || entry.scale() != 1) {
        throw new LongAlignException(
            lora.source()
                + ": expected up and down with scale 1 for layer "
                + layer.path()
                + ", found "
                + (entry == null ? "nothing" : "scale " + entry.scale())
                + "; training continues from a LoRA that was trained here");
      }
    }
    return build(
        autograd,
        layers,
        layer -> lora.entries().get(layer.path()).rank(),
        (layer, up, size) -> {
          Lora.Entry entry = lora.entries().get(layer.path());
          return (up ? entry.up() : entry.down()).toFloats();
        },
        dropout);
  }

  private static TrainableLora build(
      AutogradBackend autograd,
      List<LayerSpec> layers,
      java.util.function.ToIntFunction<LayerSpec> rank,
      Initial initial,
      LayerDropout dropout) {
    TrainableLora lora = new TrainableLora(dropout);
    for (LayerSpec layer : layers) {
      try (TensorScope scope = TensorScope.open()) {
        int r = rank.applyAsInt(layer);
        long out = layer.weight().dim(0);
        Conv2dGeometry down = downGeometry(layer, r);
        Shape downShape = down == null ? Shape.of(r, layer.weight().dim(1)) : down.weightShape();
        lora.factors.put(
            layer.path(),
            new Factors(
                layer,
                r,
                down,
                lora.variable(autograd, Shape.of(out, r), size -> initial.of(layer, true, size)),
                lora.variable(autograd, downShape, size -> initial.of(layer, false, size))));
      }
    }
    return lora;
  }

  private Tensor variable(
      AutogradBackend autograd, Shape shape, java.util.function.IntFunction<float[]> values) {
    float[] initial = values.apply(Math.toIntExact(shape.size()));
    return owner.adopt(autograd.variable(Tensor.of(autograd, shape, initial)));
  }

  /** The layer's own, with {@code rank} outputs; null where a matrix over the channels does. */
  private static Conv2dGeometry downGeometry(LayerSpec layer, int rank) {
    Conv2dGeometry g = layer.conv();
    boolean pointwise = g == null || g.kernelHeight() * g.kernelWidth() == 1;
    return pointwise
        ? null
        : new Conv2dGeometry(
            g.inChannels(),
            rank,
            g.kernelHeight(),
            g.kernelWidth(),
            g.stride(),
            g.padTop(),
            g.padLeft(),
            g.padBottom(),
            g.padRight());
  }

  /**
   * @param downGeometry of a convolution, else null
   * @param up [out, r]
   * @param down [r, in], of a convolution [r, in, kh, kw]
   */
  private record Factors(
      LayerSpec layer, int rank, Conv2dGeometry downGeometry, Tensor up, Tensor down) {

    Tensor apply(Tensor x) {
      Tensor h = downGeometry == null ? x.linear(down, null) : x.conv2d(down, downGeometry);
      return h.linear(up, null);
    }

    List<TrainableParameter> parameters() {
      boolean conv = layer.weight().rank() == 4;
      Shape in = layer.weight().with(0, rank);
      Shape out = Shape.of(layer.weight().dim(0), rank);
      return List.of(
          new TrainableParameter(
              layer.path() + ".lora_up.weight", up, conv ? Shape.of(out.dim(0), rank, 1, 1) : out),
          new TrainableParameter(layer.path() + ".lora_down.weight", down, in));
    }
  }

  /** For {@link UNet2DCondition#load}. */
  public LayerBranches branches() {
    return (layer, backend, dtype, modelOwner) -> {
      Factors pair = factors.get(layer.path());
      return pair == null ? null : branch(pair);
    };
  }

  private LayerBranch branch(Factors pair) {
    return (base, x) -> {
      try (TensorScope scope = TensorScope.open()) {
        Tensor y = dropout.apply(pair.layer.path(), pair.apply(x)); // [..., out]
        return scope.keep(base.add(y));
      }
    };
  }

  /** Up and down of every layer, named {@code <layer>.lora_up.weight} and so on, in file order. */
  public List<TrainableParameter> parameters() {
    List<TrainableParameter> all = new ArrayList<>();
    factors.values().forEach(pair -> all.addAll(pair.parameters()));
    return all;
  }

  /** The factors as they are now, in f32, to be written to a file or merged. */
  public Lora snapshot() {
    Map<String, Lora.Entry> entries = new LinkedHashMap<>();
    factors.forEach(
        (path, pair) -> {
          List<TrainableParameter> both = pair.parameters();
          entries.put(
              path,
              new Lora.Entry(
                  pair.layer, both.get(0).stored(DType.F32), both.get(1).stored(DType.F32), 1));
        });
    return new Lora("the LoRA in training", entries, 0);
  }

  /** Writes the bare list [up, down, up, down, ...] that the reference reads, in half precision. */
  public void write(Path path) {
    List<LayerSpec> layers = factors.values().stream().map(Factors::layer).toList();
    snapshot().write(path, LoraFormat.LONGALIGN, layers, DType.F16);
  }

  /** Frees the factors. */
  @Override
  public void close() {
    owner.close();
  }
}
