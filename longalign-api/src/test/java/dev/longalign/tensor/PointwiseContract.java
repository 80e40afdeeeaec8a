package dev.longalign.tensor;

import java.util.Arrays;
import java.util.Locale;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Normalisation and operations on single elements. */
interface PointwiseContract extends Contract {

  @TestFactory
  default Stream<DynamicTest> groupNorm() {
    Stream<Stream<DynamicTest>> shapes =
        Stream.of(
            groupNorm(32, 1e-5f, Activation.NONE, 2, 8, 8, 64),
            groupNorm(32, 1e-6f, Activation.SILU, 1, 16, 16, 320),
            groupNorm(32, 1e-5f, Activation.SILU, 3, 5, 7, 32), // one channel in a group
            groupNorm(1, 1e-5f, Activation.GELU, 2, 3, 3, 17), // one group
            groupNorm(3, 1e-5f, Activation.NONE, 1, 1, 1, 9), // one pixel
            groupNorm(5, 1e-5f, Activation.SILU, 2, 11, 35), // [B, L, C]
            groupNorm(4, 1e-5f, Activation.NONE, 3, 12), // [B, C]
            groupNorm(16, 1e-5f, Activation.SILU, 1, 3, 5, 1280),
            groupNorm(32, 1e-5f, Activation.SILU, 2, 12, 12, 640),
            groupNorm(32, 1e-5f, Activation.SILU, 1, 7, 8, 2560),
            groupNorm(4, 1e-5f, Activation.NONE, 1, 32, 32, 160), // 40960 elements in a group
            groupNorm(2, 1e-5f, Activation.SILU, 1, 45, 46, 20),
            groupNorm(2, 1e-5f, Activation.SILU, 2, 45, 46, 40),
            groupNorm(2, 1e-5f, Activation.NONE, 1, 45, 46, 44),
            groupNorm(1, 1e-5f, Activation.NONE, 2, 1, 4096),
            groupNorm(1, 1e-5f, Activation.NONE, 2, 1, 8192)); // channels for more than one block
    return shapes.flatMap(s -> s);
  }

  private Stream<DynamicTest> groupNorm(
      int groups, float eps, Activation activation, long... dims) {
    long channels = dims[dims.length - 1];
    String name =
        String.format(
            Locale.ROOT, "groupNorm %s %d groups %s", Arrays.toString(dims), groups, activation);
    return agree(
        name,
        in ->
            in.around(0.3, 2, dims)
                .groupNorm(
                    groups, in.f32(1, 0.3, channels), in.f32(0, 1, channels), eps, activation));
  }

  /** A variance near eps, where eps decides; for each way that a group or a row may be summed. */
  @TestFactory
  default Stream<DynamicTest> normsOfSmallVariance() {
    Stream<DynamicTest> groups =
        Stream.of(
                new long[] {32, 2, 8, 8, 64},
                new long[] {8, 1, 5, 7, 32},
                new long[] {32, 3, 5, 7, 32}, // one channel in a group
                new long[] {2, 1, 45, 46, 44}, // more than a block keeps
                new long[] {2, 1, 45, 46, 48})
            .flatMap(
                g -> {
                  long[] dims = Arrays.copyOfRange(g, 1, g.length);
                  long channels = dims[dims.length - 1];
                  return agree(
                      "groupNorm " + Arrays.toString(dims) + ", variance near eps",
                      in ->
                          in.around(0, 3e-3, dims)
                              .groupNorm(
                                  (int) g[0],
                                  in.f32(1, 0.3, channels),
                                  in.f32(0, 1, channels),
                                  1e-5f,
                                  Activation.NONE));
                });
    Stream<DynamicTest> rows =
        Stream.of(new long[] {7, 320}, new long[] {3, 33}, new long[] {2, 2048})
            .flatMap(
                dims ->
                    agree(
                        "layerNorm " + Arrays.toString(dims) + ", variance near eps",
                        in ->
                            in.around(0, 3e-3, dims)
                                .layerNorm(in.f32(1, 0.3, dims[1]), in.f32(0, 1, dims[1]), 1e-5f)));
    return Stream.concat(groups, rows);
  }

  /** E[x^2] - E[x]^2 would lose every digit here. */
  @TestFactory
  default Stream<DynamicTest> normsOfLargeMeans() {
    Stream<DynamicTest> group =
        agree(
            "groupNorm, mean 300",
            in ->
                in.around(300, 1, 2, 16, 16, 64)
                    .groupNorm(8, in.f32(1, 0.3, 64), in.f32(0, 1, 64), 1e-5f, Activation.NONE));
    Stream<DynamicTest> single =
        agree(
            "groupNorm, mean -300, one channel in a group",
            in ->
                in.around(-300, 1, 1, 9, 9, 32)
                    .groupNorm(32, in.f32(1, 0.3, 32), in.f32(0, 1, 32), 1e-5f, Activation.SILU));
    Stream<DynamicTest> layer =
        agree(
            "layerNorm, mean 300",
            in ->
                in.around(300, 1, 7, 320).layerNorm(in.f32(1, 0.3, 320), in.f32(0, 1, 320), 1e-5f));
    Stream<DynamicTest> large =
        agree(
            "groupNorm, 65536 elements in a group, mean 10",
            in ->
                in.around(10, 1, 1, 128, 128, 32)
                    .groupNorm(8, in.f32(1, 0.3, 32), in.f32(0, 1, 32), 1e-6f, Activation.SILU));
    Stream<DynamicTest> constant =
        agree(
            "groupNorm of a constant",
            in ->
                in.around(2.5, 0, 1, 4, 4, 8)
                    .groupNorm(2, in.f32(1, 0.3, 8), in.f32(0, 1, 8), 1e-5f, Activation.NONE));
    return Stream.of(group, single, layer, large, constant).flatMap(s -> s);
  }

  @TestFactory
  default Stream<DynamicTest> layerNorm() {
    long[][] shapes = {
      {1, 2}, {3, 1}, {2, 5, 7}, {1, 77, 768}, {2, 9, 320}, {3, 1280}, {2, 2, 2, 33}
    };
    return Arrays.stream(shapes)
        .flatMap(
            dims -> {
              long channels = dims[dims.length - 1];
              return agree(
                  "layerNorm " + Arrays.toString(dims),
                  in ->
                      in.around(-0.2, 3, dims)
                          .layerNorm(in.f32(1, 0.3, channels), in.f32(0, 1, channels), 1e-5f));
            });
  }

  @TestFactory
  default Stream<DynamicTest> activation() {
    float[] values = {
      0, -0f, 1e-30f, 1e-6f, 0.5f, -0.5f, 1, -1, 3, -3, 5.5f, -5.5f, 9, -9, 20, -20, 88, -88, 104,
      -104, 1e4f, -1e4f
    };
    return Stream.of(Activation.SILU, Activation.GELU)
        .flatMap(
            activation ->
                Stream.of(
                        agree(
                            activation + " of chosen values",
                            in -> in.of(values, values.length).activation(activation)),
                        agree(
                            activation + " of small values",
                            in -> in.around(0, 1e-2, 515).activation(activation)),
                        agree(
                            activation + " [2, 7, 9, 33]",
                            in -> in.around(0, 3, 2, 7, 9, 33).activation(activation)),
                        agree(activation + " [1]", in -> in.normal(1).activation(activation)))
                    .flatMap(s -> s));
  }

  @TestFactory
  default Stream<DynamicTest> gatedGelu() {
    long[][] shapes = {{2}, {1, 6}, {3, 5, 14}, {2, 33, 256}, {2, 3, 3, 10}};
    return Arrays.stream(shapes)
        .flatMap(
            dims ->
                agree(
                    "gatedGelu " + Arrays.toString(dims), in -> in.around(0, 2, dims).gatedGelu()));
  }

  @TestFactory
  default Stream<DynamicTest> linearCombination() {
    float[][] coefficients = {
      {1}, {-2.5f}, {1, 1}, {1, -1}, {8.5f, -7.5f}, {0.3f, 0, 2}, {1e-3f, 1e3f, -1, 0.5f, 0.25f}
    };
    return Arrays.stream(coefficients)
        .flatMap(
            c -> {
              Stream<long[]> shapes =
                  Stream.of(new long[] {1}, new long[] {2, 3, 5, 7}, new long[] {1, 64, 64, 4});
              return shapes.flatMap(
                  dims ->
                      agree(
                          "linearCombination "
                              + Arrays.toString(c)
                              + " of "
                              + Arrays.toString(dims),
                          in -> {
                            Tensor[] xs = new Tensor[c.length];
                            Arrays.setAll(xs, i -> in.normal(dims));
                            return Tensor.linearCombination(c, xs);
                          }));
            });
  }

  /** In bf16, {@code 64 x + y} would keep nothing of y. */
  @TestFactory
  default Stream<DynamicTest> partialSumsStayInF32() {
    return agree(
        "64 x + y - 64 x",
        in -> {
          Tensor x = in.normal(7, 33);
          return Tensor.linearCombination(new float[] {64, 1, -64}, x, in.around(0, 0.1, 7, 33), x);
        });
  }

  @TestFactory
  default Stream<DynamicTest> sameTensorTwice() {
    return agree(
        "x + x",
        in -> {
          Tensor x = in.normal(3, 37);
          return x.add(x);
        });
  }

  @TestFactory
  default Stream<DynamicTest> clamp() {
    return Stream.of(
            new float[] {-1, 1},
            new float[] {0, 1},
            new float[] {0.5f, 0.5f},
            new float[] {-100, 0})
        .flatMap(
            r ->
                agreeExactly(
                    "clamp to " + Arrays.toString(r),
                    in -> in.normal(2, 5, 5, 3).clamp(r[0], r[1])));
  }

  /** Rounding is to nearest, ties to even, and special values survive. */
  @TestFactory
  default Stream<DynamicTest> cast() {
    float[] special = {
      0,
      -0f,
      1 + 1 / 256f,
      1 + 3 / 256f,
      -1 - 1 / 256f,
      1 + 1 / 256f + 1e-6f,
      3e38f,
      Float.POSITIVE_INFINITY,
      Float.NEGATIVE_INFINITY,
      Float.NaN,
      2e-38f,
      65504,
      1e-3f
    };
    return Stream.of(
        toBf16("chosen values", in -> in.of(special, special.length)),
        toBf16("random values", in -> in.of(in.values(0, 10, 1021), 1021)),
        agree(
            "to F32", DType.BF16, Tolerance.EXACT, in -> in.around(0, 10, 7, 33).cast(DType.F32)));
  }

  private DynamicTest toBf16(String name, Function<Inputs, Tensor> values) {
    return agree(
        "to BF16, " + name,
        DType.F32,
        Tolerance.EXACT,
        in -> {
          Assumptions.assumeTrue(
              backend().supports(DType.BF16), () -> backend().name() + " has no BF16");
          return values.apply(in).cast(DType.BF16);
        });
  }
}
