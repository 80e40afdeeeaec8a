package dev.longalign.tensor;

import dev.longalign.autograd.AutogradBackend;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/**
 * A differentiable computation on seeded inputs.
 *
 * @param steep whether bf16 rounding of inner values shows more than usual
 */
record GradientCase(String name, Forward forward, boolean steep) {

  private static final float SMALL_EPS = 1e-5f;

  /** Near the variance, so that it decides. */
  private static final float LARGE_EPS = 4;

  interface Forward {
    Tensor of(Inputs in, Variables variables);
  }

  /** What gradients are asked for, in the order of the calls. */
  static final class Variables {
    private final AutogradBackend autograd;
    private final List<Tensor> all = new ArrayList<>();
    private final int moved;
    private final float[] by;
    private int next;

    Variables(AutogradBackend autograd) {
      this(autograd, -1, null);
    }

    /** Adds {@code by} to one of the variables. */
    Variables(AutogradBackend autograd, int moved, float[] by) {
      this.autograd = autograd;
      this.moved = moved;
      this.by = by;
    }

    /** The forward pass starts again: the same calls get the same variables. */
    void rewind() {
      next = 0;
    }

    Tensor of(Tensor x) {
      if (next < all.size()) {
        return all.get(next++);
      }
      next++;
      Tensor value = x;
      if (all.size() == moved) {
        float[] values = x.toFloats();
        for (int i = 0; i < values.length; i++) {
          values[i] += by[i];
        }
        value = Tensor.of(autograd, x.shape(), values);
      }
      Tensor variable = autograd.variable(value);
      all.add(variable);
      return variable;
    }

    List<Tensor> all() {
      return all;
    }
  }

  private static GradientCase of(String name, Forward forward) {
    return new GradientCase(name, forward, false);
  }

  static Stream<GradientCase> all() {
    return Stream.of(
            products(), convolutions(), attention(), norms(), pointwise(), shapes(), blocks())
        .flatMap(List::stream);
  }

  private static List<GradientCase> products() {
    List<GradientCase> cases = new ArrayList<>();
    for (Activation activation : Activation.values()) {
      cases.add(
          of(
              "linear, epilogue " + activation,
              (in, v) ->
                  v.of(in.normal(2, 5, 12))
                      .linear(
                          in.linear(12, 7, true),
                          new Epilogue(
                              activation, v.of(in.normal(2, 7)), v.of(in.normal(2, 5, 7))))));
    }
    cases.add(of("linear", (in, v) -> v.of(in.normal(33, 64)).linear(in.linear(64, 48, false))));
    cases.add(
        of(
            "linears of one input",
            (in, v) -> {
              Tensor[] both =
                  v.of(in.normal(9, 16)).linears(in.linear(16, 8, false), in.linear(16, 8, false));
              return both[0].add(both[1]);
            }));
    cases.add(
        of(
            "linear with trained weight",
            (in, v) ->
                v.of(in.normal(2, 9, 20))
                    .linear(v.of(in.f32(0, 0.2, 6, 20)), v.of(in.f32(0, 1, 6)))));
    cases.add(
        of(
            "linear with trained weight of a constant",
            (in, v) -> in.normal(17, 8).linear(v.of(in.f32(0, 0.3, 5, 8)), null)));
    cases.add(
        of(
            "linear twice with one weight",
            (in, v) -> {
              Tensor w = v.of(in.f32(0, 0.3, 8, 8));
              return v.of(in.normal(3, 8)).linear(w, null).linear(w, null);
            }));
    cases.add(
        of(
            "linear with trained weight of many rows",
            (in, v) ->
                v.of(in.normal(2, 300, 12)).linear(v.of(in.f32(0, 0.2, 9, 12)), null).scale(0.1f)));
    cases.add(
        of("wide linear", (in, v) -> v.of(in.normal(130, 136)).linear(in.linear(136, 72, true))));
    cases.add(
        of(
            "wide linear with trained weight",
            (in, v) -> v.of(in.normal(70, 96)).linear(v.of(in.f32(0, 0.1, 72, 96)), null)));
    cases.add(of("geglu", (in, v) -> v.of(in.normal(2, 3, 10)).geglu(in.geglu(10, 6, true))));
    cases.add(
        of("wide geglu", (in, v) -> v.of(in.normal(1, 67, 40)).geglu(in.geglu(40, 72, false))));
    cases.add(
        of("matmul", (in, v) -> v.of(in.normal(2, 5, 4)).matmul(v.of(in.normal(2, 4, 6)), false)));
    cases.add(
        of(
            "matmul, transposed",
            (in, v) -> v.of(in.normal(2, 5, 4)).matmul(v.of(in.normal(2, 6, 4)), true)));
    return cases;
  }

  private static List<GradientCase> convolutions() {
    List<GradientCase> cases = new ArrayList<>();
    List<Conv2dGeometry> geometries =
        List.of(
            Conv2dGeometry.of(5, 7, 3, 1, 1),
            Conv2dGeometry.of(8, 16, 3, 2, 1),
            Conv2dGeometry.of(4, 32, 1, 1, 0),
            new Conv2dGeometry(6, 6, 3, 3, 2, 0, 0, 1, 1),
            new Conv2dGeometry(3, 4, 3, 2, 1, 0, 1, 2, 0),
            new Conv2dGeometry(3, 8, 1, 1, 2, 0, 0, 0, 0));
    for (Conv2dGeometry g : geometries) {
      int in = g.inChannels();
      cases.add(of("conv2d " + g, (x, v) -> v.of(x.normal(2, 6, 8, in)).conv2d(x.conv2d(g, true))));
      cases.add(
          of(
              "conv2d with trained weight " + g,
              (x, v) ->
                  v.of(x.normal(2, 6, 8, in))
                      .conv2d(v.of(x.f32(0, 0.2, g.weightShape().toArray())), g)));
    }
    List<Conv2dGeometry> ragged = // on pictures of odd sizes
        List.of(
            Conv2dGeometry.of(16, 24, 3, 2, 1),
            new Conv2dGeometry(8, 72, 3, 3, 2, 0, 0, 1, 1),
            new Conv2dGeometry(72, 8, 2, 3, 3, 1, 0, 0, 2),
            Conv2dGeometry.of(72, 80, 3, 1, 1));
    for (Conv2dGeometry g : ragged) {
      int in = g.inChannels();
      cases.add(
          of(
              "conv2d of 13 x 11 " + g,
              (x, v) -> v.of(x.normal(1, 13, 11, in)).conv2d(x.conv2d(g, false))));
      cases.add(
          of(
              "conv2d of 13 x 11 with trained weight " + g,
              (x, v) ->
                  v.of(x.normal(1, 13, 11, in))
                      .conv2d(v.of(x.f32(0, 0.1, g.weightShape().toArray())), g)));
    }
    Conv2dGeometry same = geometries.get(0);
    for (Activation activation : Activation.values()) {
      cases.add(
          of(
              "conv2d, epilogue " + activation,
              (in, v) ->
                  v.of(in.normal(2, 4, 3, 5))
                      .conv2d(
                          in.conv2d(same, true),
                          new Epilogue(
                              activation, v.of(in.normal(2, 7)), v.of(in.normal(2, 4, 3, 7))))));
    }
    return cases;
  }

  private static List<GradientCase> attention() {
    return List.of(
        attention(2, 5, 7, 8, 2),
        attention(1, 70, 33, 64, 8),
        attention(1, 600, 40, 16, 2),
        causalAttention(3, 1, 8, 2),
        causalAttention(2, 7, 8, 2),
        causalAttention(5, 26, 32, 4),
        causalAttention(1, 600, 16, 2),
        attention(2, 24, 480, 24, 3), // LongAlign's context
        attention(1, 70, 480, 80, 2), // heads of 40, as of the UNet's first block; then 80, 160
        attention(1, 65, 77, 80, 1),
        attention(2, 16, 33, 160, 1),
        attention(1, 300, 40, 40, 1), // more queries than keys
        attention(1, 33, 65, 64, 1),
        attention(1, 20, 35, 128, 1),
        attention(1, 9, 20, 512, 1), // the autoencoder's
        causalAttention(1, 130, 40, 1),
        causalAttention(1, 77, 128, 2),
        causalAttention(1, 70, 160, 1),
        new GradientCase(
            "attention to itself",
            (in, v) -> {
              Tensor x = v.of(in.normal(1, 20, 16));
              return x.attention(x, x, 4, 0.5f);
            },
            true),
        new GradientCase(
            "attention to constants",
            (in, v) ->
                v.of(in.normal(2, 9, 12))
                    .attention(in.normal(2, 30, 12), in.normal(2, 30, 12), 3, 0.5f),
            true));
  }

  private static GradientCase causalAttention(long batch, long length, long width, int h) {
    return new GradientCase(
        String.format(
            Locale.ROOT, "causal attention [%d, %d, %d], %d heads", batch, length, width, h),
        (in, v) ->
            v.of(in.normal(batch, length, width))
                .causalAttention(
                    v.of(in.normal(batch, length, width)),
                    v.of(in.normal(batch, length, width)),
                    h,
                    (float) Math.sqrt((double) h / width)),
        true);
  }

  private static GradientCase attention(long batch, long queries, long keys, long width, int h) {
    return new GradientCase(
        String.format(
            Locale.ROOT,
            "attention [%d, %d, %d], %d keys, %d heads",
            batch,
            queries,
            width,
            keys,
            h),
        (in, v) ->
            v.of(in.normal(batch, queries, width))
                .attention(
                    v.of(in.normal(batch, keys, width)),
                    v.of(in.normal(batch, keys, width)),
                    h,
                    (float) Math.sqrt((double) h / width)),
        true);
  }

  private static List<GradientCase> norms() {
    List<GradientCase> cases = new ArrayList<>();
    for (Activation activation : Activation.values()) {
      cases.add(groupNorm(4, SMALL_EPS, activation, 2, 5, 3, 16));
    }
    cases.add(groupNorm(16, SMALL_EPS, Activation.SILU, 1, 4, 4, 16)); // one channel in a group
    cases.add(groupNorm(1, SMALL_EPS, Activation.NONE, 3, 6, 10));
    cases.add(groupNorm(32, SMALL_EPS, Activation.SILU, 1, 12, 12, 64));
    cases.add(groupNorm(4, LARGE_EPS, Activation.SILU, 2, 5, 3, 16));
    cases.add(groupNorm(16, LARGE_EPS, Activation.NONE, 1, 4, 4, 16));
    cases.add(layerNorm(SMALL_EPS, 2, 5, 24));
    cases.add(layerNorm(SMALL_EPS, 37, 320));
    cases.add(layerNorm(LARGE_EPS, 5, 24));
    cases.add(layerNorm(LARGE_EPS, 3, 33));
    cases.add(of("normalizeRows", (in, v) -> v.of(in.normal(3, 5, 8)).normalizeRows()));
    return cases;
  }

  private static GradientCase groupNorm(
      int groups, float eps, Activation activation, long... dims) {
    long channels = dims[dims.length - 1];
    return new GradientCase(
        "groupNorm "
            + Shape.of(dims)
            + ", "
            + groups
            + " groups, "
            + activation
            + (eps == LARGE_EPS ? ", large eps" : ""),
        (in, v) ->
            v.of(in.around(0.5, 2, dims))
                .groupNorm(
                    groups,
                    v.of(in.f32(1, 0.3, channels)),
                    v.of(in.f32(0, 1, channels)),
                    eps,
                    activation),
        true);
  }

  private static GradientCase layerNorm(float eps, long... dims) {
    long channels = dims[dims.length - 1];
    return new GradientCase(
        "layerNorm " + Shape.of(dims) + (eps == LARGE_EPS ? ", large eps" : ""),
        (in, v) ->
            v.of(in.around(-0.3, 3, dims))
                .layerNorm(v.of(in.f32(1, 0.3, channels)), v.of(in.f32(0, 1, channels)), eps),
        true);
  }

  private static List<GradientCase> pointwise() {
    return List.of(
        of("SiLU", (in, v) -> v.of(in.around(0, 2, 3, 37)).activation(Activation.SILU)),
        of("GELU", (in, v) -> v.of(in.around(0, 2, 3, 37)).activation(Activation.GELU)),
        of("gatedGelu", (in, v) -> v.of(in.normal(3, 5, 14)).gatedGelu()),
        of("multiply", (in, v) -> v.of(in.normal(3, 33)).multiply(v.of(in.normal(3, 33)))),
        of(
            "x * x",
            (in, v) -> {
              Tensor x = v.of(in.normal(3, 33));
              return x.multiply(x);
            }),
        of(
            "2 x - 3 y + x",
            (in, v) -> {
              Tensor x = v.of(in.normal(3, 33));
              return Tensor.linearCombination(new float[] {2, -3, 1}, x, v.of(in.normal(3, 33)), x);
            }),
        of("scaleExp", (in, v) -> v.of(in.normal(3, 33)).scaleExp(v.of(in.f32(0.7, 0)))),
        of("dropout", (in, v) -> v.of(in.normal(5, 40)).dropout(0.3f, 17)),
        of("clamp", (in, v) -> v.of(in.normal(5, 40)).clamp(-0.7f, 0.9f)),
        of("pseudoHuber", (in, v) -> v.of(in.normal(5, 40)).pseudoHuber(0.5f)),
        of("cast", (in, v) -> v.of(in.normal(5, 40)).cast(DType.F32).scale(3)));
  }

  private static List<GradientCase> shapes() {
    return List.of(
        of(
            "concat",
            (in, v) ->
                Tensor.concat(
                    -1, v.of(in.normal(2, 3, 5)), in.normal(2, 3, 2), v.of(in.normal(2, 3, 4)))),
        of(
            "concat of channels of pictures",
            (in, v) -> Tensor.concat(3, v.of(in.normal(2, 2, 3, 4)), v.of(in.normal(2, 2, 3, 2)))),
        of(
            "concat of tokens",
            (in, v) -> Tensor.concat(1, in.normal(2, 3, 4), v.of(in.normal(2, 5, 4)))),
        of(
            "concat of one variable twice",
            (in, v) -> {
              Tensor x = v.of(in.normal(3, 4));
              return Tensor.concat(0, x, x.scale(2), x);
            }),
        of("slice of the last axis", (in, v) -> v.of(in.normal(3, 2, 9)).slice(2, 0, 4)),
        of("slice of the first axis", (in, v) -> v.of(in.normal(5, 4)).slice(0, 4, 5)),
        of("slice", (in, v) -> v.of(in.normal(3, 6, 4)).slice(1, 2, 5)),
        of(
            "rows and reshape",
            (in, v) -> {
              Tensor x = v.of(in.normal(4, 6));
              Tensor y = x.rows(1, 3).reshape(3, 4).activation(Activation.SILU);
              return y.add(x.reshape(6, 4).rows(3, 6));
            }),
        of("upsampleNearest", (in, v) -> v.of(in.normal(2, 3, 4, 5)).upsampleNearest(6, 8)),
        of(
            "upsampleNearest to odd sizes",
            (in, v) -> v.of(in.normal(1, 3, 4, 5)).upsampleNearest(5, 7)),
        of("gatherRows", (in, v) -> v.of(in.normal(4, 2, 9)).gatherRows(3, 0, 3, 3, 1)),
        of("gatherRows of nothing", (in, v) -> v.of(in.normal(4, 9)).gatherRows(2).sum()),
        of("logSumExp", (in, v) -> v.of(in.around(0, 2, 2, 3, 17)).logSumExp()),
        of("logSumExp of one", (in, v) -> v.of(in.around(50, 2, 5, 1)).logSumExp()),
        of("sum", (in, v) -> v.of(in.normal(5, 40)).sum()),
        of(
            "meanSquaredError",
            (in, v) -> v.of(in.normal(5, 40)).meanSquaredError(v.of(in.normal(5, 40)))),
        of("rowDots", (in, v) -> v.of(in.normal(2, 3, 9)).rowDots(v.of(in.normal(2, 3, 9)))),
        of("cosine", (in, v) -> v.of(in.normal(4, 9)).cosine(v.of(in.normal(4, 9)))));
  }

  /** What models put together. */
  private static List<GradientCase> blocks() {
    Conv2dGeometry conv = Conv2dGeometry.of(4, 6, 3, 1, 1);
    return List.of(
        of(
            "upsampling convolution",
            (in, v) ->
                v.of(in.normal(1, 3, 4, 4)).upsampleNearest(6, 8).conv2d(in.conv2d(conv, true))),
        new GradientCase(
            "residual block",
            (in, v) -> {
              Tensor x = v.of(in.normal(2, 4, 4, 8));
              Tensor h =
                  x.groupNorm(
                      2, v.of(in.f32(1, 0.3, 8)), v.of(in.f32(0, 1, 8)), 1e-5f, Activation.SILU);
              return h.conv2d(
                  in.conv2d(Conv2dGeometry.of(8, 8, 3, 1, 1), true),
                  new Epilogue(Activation.NONE, v.of(in.normal(2, 8)), x));
            },
            true),
        of(
            "LoRA beside a frozen layer, with dropout",
            (in, v) -> {
              Tensor x = v.of(in.normal(3, 7, 12));
              Tensor low = x.linear(v.of(in.f32(0, 0.3, 4, 12)), null);
              return x.linear(in.linear(12, 9, true))
                  .add(low.linear(v.of(in.f32(0, 0.5, 9, 4)), null).dropout(0.1f, 23));
            }),
        of(
            "LoRA beside a frozen convolution",
            (in, v) -> {
              Tensor x = v.of(in.normal(2, 5, 4, 4));
              Tensor low =
                  x.conv2d(v.of(in.f32(0, 0.2, 3, 4, 3, 3)), Conv2dGeometry.of(4, 3, 3, 1, 1));
              return x.conv2d(in.conv2d(conv, true))
                  .add(low.linear(v.of(in.f32(0, 0.5, 6, 3)), null));
            }),
        of(
            "pseudo-Huber loss",
            (in, v) ->
                Tensor.linearCombination(
                        new float[] {1, -1}, v.of(in.normal(2, 4, 4, 4)), in.normal(2, 4, 4, 4))
                    .pseudoHuber(0.3f)
                    .mean()));
  }
}
