package dev.longalign.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * What training is made of, called directly and where it is difficult: long rows, many rows, odd
 * sizes, nothing at all, and only some of the gradients wanted.
 */
interface TrainingContract extends Contract {

  private Stream<DynamicTest> trains(String name, Function<Inputs, Tensor> operation) {
    return agree(
        name,
        in -> {
          GradientContract.assumeTraining(in.backend());
          return operation.apply(in);
        });
  }

  private static GradientOps gradients(Inputs in) {
    return in.backend().gradients();
  }

  // ---- rows

  @TestFactory
  default Stream<DynamicTest> operationsOnRows() {
    long[][] shapes = {{1, 1}, {3, 1}, {1, 2051}, {2, 2304}, {501, 3}, {5, 7, 33}, {9, 640}};
    return Arrays.stream(shapes).flatMap(this::operationsOnRows);
  }

  private Stream<DynamicTest> operationsOnRows(long... dims) {
    String of = " " + Arrays.toString(dims);
    long[] perRow = Arrays.copyOf(dims, dims.length - 1);
    return Stream.of(
            trains("rowDots" + of, in -> in.around(1, 1, dims).rowDots(in.around(1, 1, dims))),
            trains("normalizeRows" + of, in -> in.around(1, 1, dims).normalizeRows()),
            trains("logSumExp" + of, in -> in.around(-30, 5, dims).logSumExp()),
            trains(
                "gradient of logSumExp" + of,
                in -> gradients(in).logSumExp(in.around(90, 3, dims), in.f32(0, 1, perRow))),
            trains(
                "scaleRows" + of,
                in -> gradients(in).scaleRows(in.normal(dims), in.f32(0, 1, perRow))))
        .flatMap(s -> s);
  }

  /** Of rows of one element it would be nothing but rounding. */
  @TestFactory
  default Stream<DynamicTest> gradientOfNormalizedRows() {
    long[][] shapes = {{1, 2051}, {2, 2304}, {501, 3}, {5, 7, 33}, {9, 640}};
    return Arrays.stream(shapes)
        .flatMap(
            dims ->
                trains(
                    "gradient of normalizeRows " + Arrays.toString(dims),
                    in -> gradients(in).normalizeRows(in.around(1, 1, dims), in.normal(dims))));
  }

  @TestFactory
  default Stream<DynamicTest> rowsByTheirNumbers() {
    int[] often = new Random(3).ints(3000, 0, 7).map(i -> i == 5 ? 6 : i).toArray();
    return Stream.of(
            exactly("gatherRows, odd width", in -> in.normal(7, 3, 11).gatherRows(often)),
            exactly("gatherRows, aligned width", in -> in.normal(7, 64).gatherRows(6, 0, 0, 3)),
            exactly("gatherRows of one axis", in -> in.normal(9).gatherRows(8, 1, 1)),
            exactly("no rows", in -> in.normal(9, 4).gatherRows()),
            exactly("rows of nothing", in -> in.normal(9, 0).gatherRows(3, 3)),
            trains(
                "scatterRows, odd width",
                in -> gradients(in).scatterRows(in.normal(3000, 11), often, 7)),
            trains(
                "scatterRows, aligned width",
                in -> gradients(in).scatterRows(in.normal(4, 1280), new int[] {2, 0, 2, 2}, 5)),
            trains(
                "scatterRows of nothing",
                in -> gradients(in).scatterRows(in.normal(0, 4), new int[0], 3)))
        .flatMap(s -> s);
  }

  private Stream<DynamicTest> exactly(String name, Function<Inputs, Tensor> operation) {
    return agreeExactly(
        name,
        in -> {
          GradientContract.assumeTraining(in.backend());
          return operation.apply(in);
        });
  }

  @TestFactory
  default Stream<DynamicTest> slices() {
    return Stream.of(
            exactly("slice, aligned", in -> in.normal(3, 5, 64).slice(2, 16, 48)),
            exactly("slice, odd", in -> in.normal(3, 5, 33).slice(2, 1, 30)),
            exactly("slice of the middle", in -> in.normal(2, 9, 3, 8).slice(1, 2, 8)),
            exactly("slice of nothing", in -> in.normal(2, 9, 4).slice(1, 3, 3)),
            exactly("slice of no rows", in -> in.normal(0, 9, 4).slice(1, 3, 5)),
            exactly("slice of all", in -> in.normal(17).slice(0, 0, 17)))
        .flatMap(s -> s);
  }

  // ---- sums

  @TestFactory
  default Stream<DynamicTest> columnSums() {
    int[][] cases = { // rows, columns, groups
      {1, 1, 1}, {4099, 7, 1}, {1500, 96, 3}, {260, 1, 130}, {2, 4097, 1}, {20_000, 4, 2}
    };
    return Arrays.stream(cases)
        .flatMap(
            c ->
                trains(
                    "columnSums " + Arrays.toString(c),
                    in -> gradients(in).columnSums(in.normal(c[0], c[1]), c[2])));
  }

  @TestFactory
  default Stream<DynamicTest> columnSumsOfNothing() {
    return trains("columnSums of nothing", in -> gradients(in).columnSums(in.normal(0, 3, 5), 1));
  }

  @TestFactory
  default Stream<DynamicTest> sums() {
    return Stream.of(0, 1, 8193, 100_003)
        .flatMap(size -> trains("sum of " + size, in -> in.around(0.3, 1, size).sum()));
  }

  /** In double precision: much closer than f32 could be, and the same bits every time. */
  @TestFactory
  default Stream<DynamicTest> sumsOfSquares() {
    return Stream.of(new int[] {}, new int[] {0}, new int[] {1}, new int[] {9000, 3, 0, 70_001})
        .map(
            sizes ->
                DynamicTest.dynamicTest(
                    "sum of squares of " + Arrays.toString(sizes), () -> sumOfSquares(sizes)));
  }

  private void sumOfSquares(int... sizes) {
    GradientContract.assumeTraining(backend());
    try (TensorScope scope = TensorScope.open()) {
      for (boolean views : new boolean[] {false, true}) {
        Inputs in = new Inputs(backend(), DType.F32, views, 11);
        List<Tensor> xs = Arrays.stream(sizes).mapToObj(size -> in.around(1, 3, size)).toList();
        double expected = 0;
        for (Tensor x : xs) {
          for (float v : x.toFloats()) {
            expected += (double) v * v;
          }
        }
        TrainingOps training = backend().training();
        double found = training.sumOfSquares(xs);
        assertThat(found).isCloseTo(expected, within(1e-12 * expected));
        assertThat(training.sumOfSquares(xs)).isEqualTo(found);
        double one = 0;
        for (Tensor x : xs) {
          one += training.sumOfSquares(x);
        }
        assertThat(one).isCloseTo(expected, within(1e-12 * expected));
      }
    }
  }

  // ---- normalisation: only some of the gradients are wanted

  @TestFactory
  default Stream<DynamicTest> wantedGradientsOfNorms() {
    return Stream.of(0, 1, 2)
        .flatMap(
            i -> {
              boolean[] wanted = new boolean[3];
              wanted[i] = true;
              return Stream.of(
                      groupNorm(wanted, i, 3, Activation.GELU, 2, 7, 5, 9),
                      groupNorm(wanted, i, 32, Activation.SILU, 1, 40, 41, 64),
                      groupNorm(wanted, i, 7, Activation.NONE, 300, 3, 14),
                      layerNorm(wanted, i, 1, 1283),
                      layerNorm(wanted, i, 1500, 33),
                      layerNorm(wanted, i, 2, 77, 320))
                  .flatMap(s -> s);
            });
  }

  private Stream<DynamicTest> groupNorm(
      boolean[] wanted, int i, int groups, Activation activation, long... dims) {
    long channels = dims[dims.length - 1];
    return trains(
        "gradient " + i + " of groupNorm " + Arrays.toString(dims) + ", " + groups + " groups",
        in ->
            only(
                i,
                gradients(in)
                    .groupNorm(
                        in.around(0.5, 2, dims),
                        groups,
                        in.f32(1, 0.3, channels),
                        in.f32(0, 1, channels),
                        1e-5f,
                        activation,
                        in.normal(dims),
                        wanted)));
  }

  private Stream<DynamicTest> layerNorm(boolean[] wanted, int i, long... dims) {
    long channels = dims[dims.length - 1];
    return trains(
        "gradient " + i + " of layerNorm " + Arrays.toString(dims),
        in ->
            only(
                i,
                gradients(in)
                    .layerNorm(
                        in.around(0.5, 2, dims),
                        in.f32(1, 0.3, channels),
                        1e-5f,
                        in.normal(dims),
                        wanted)));
  }

  private static Tensor only(int wanted, Tensor... gradients) {
    for (int i = 0; i < gradients.length; i++) {
      assertThat(gradients[i] != null).as("gradient %d", i).isEqualTo(i == wanted);
    }
    return gradients[wanted];
  }

  /** A mean that is large against the deviation. */
  @TestFactory
  default Stream<DynamicTest> gradientsOfNormsOfLargeMeans() {
    boolean[] wanted = {true, false, false};
    return Stream.of(
        agree(
            "gradient of groupNorm, mean 30",
            DType.F32,
            Tolerance.relative(5e-4), // the inputs have lost two digits
            in -> {
              GradientContract.assumeTraining(in.backend());
              Tensor x = in.around(30, 1, 2, 9, 9, 16);
              Tensor dy = in.normal(2, 9, 9, 16);
              return gradients(in)
                  .groupNorm(
                      x,
                      4,
                      in.f32(1, 0.3, 16),
                      in.f32(0, 1, 16),
                      1e-5f,
                      Activation.SILU,
                      dy,
                      wanted)[0];
            }));
  }

  // ---- pointwise

  @TestFactory
  default Stream<DynamicTest> onNothing() {
    long[] none = {2, 0, 6};
    return Stream.of(
            trains("multiply", in -> in.normal(none).multiply(in.normal(none))),
            trains("dropout", in -> in.normal(none).dropout(0.5f, 1)),
            trains("pseudoHuber", in -> in.normal(none).pseudoHuber(1)),
            trains("scaleExp", in -> in.normal(none).scaleExp(in.f32(0, 1))),
            trains("rowDots", in -> in.normal(none).rowDots(in.normal(none))),
            trains("rowDots of empty rows", in -> in.normal(3, 0).rowDots(in.normal(3, 0))),
            trains("normalizeRows", in -> in.normal(none).normalizeRows()),
            trains("logSumExp", in -> in.normal(none).logSumExp()),
            trains("expand", in -> gradients(in).expand(in.f32(0, 1), in.dtype(), Shape.of(none))),
            trains("gatedGelu", in -> gradients(in).gatedGelu(in.normal(none), in.normal(2, 0, 3))),
            trains("clamp", in -> gradients(in).clamp(in.normal(none), 0, 1, in.normal(none))),
            trains(
                "activation",
                in -> gradients(in).activation(in.normal(none), Activation.SILU, in.normal(none))))
        .flatMap(s -> s);
  }

  @TestFactory
  default Stream<DynamicTest> manyElements() {
    long[] dims = {3, 7, 501};
    return Stream.of(
            trains("multiply, many", in -> in.normal(dims).multiply(in.normal(dims))),
            trains("dropout, many", in -> in.normal(dims).dropout(0.1f, 0x123456789abcdefL)),
            trains("dropout, key -5", in -> in.normal(dims).dropout(0.7f, -5)),
            trains("pseudoHuber, small c", in -> in.around(0, 1e-3, dims).pseudoHuber(1e-3f)),
            trains("pseudoHuber, tiny", in -> in.around(0, 1e-2, dims).pseudoHuber(0.5f)),
            trains(
                "gradient of gatedGelu, aligned",
                in -> gradients(in).gatedGelu(in.around(0, 2, 5, 512), in.normal(5, 256))),
            trains(
                "gradient of SiLU, many",
                in ->
                    gradients(in)
                        .activation(in.around(0, 20, dims), Activation.SILU, in.normal(dims))),
            trains(
                "expand", in -> gradients(in).expand(in.f32(0, 1), in.dtype(), Shape.of(3, 1001))))
        .flatMap(s -> s);
  }

  @TestFactory
  default Stream<DynamicTest> gradientOfUpsampling() {
    int[][] cases = { // height, width, to height, to width, channels
      {7, 5, 19, 23, 3}, {8, 7, 3, 4, 5}, {4, 6, 8, 12, 64}, {1, 1, 9, 7, 8}, {6, 10, 6, 20, 4}
    };
    return Arrays.stream(cases)
        .flatMap(
            c ->
                trains(
                    "gradient of upsampleNearest " + Arrays.toString(c),
                    in ->
                        gradients(in).upsampleNearest(in.normal(2, c[2], c[3], c[4]), c[0], c[1])));
  }

  // ---- in place

  @TestFactory
  default Stream<DynamicTest> inPlace() {
    return Stream.of(0, 1, 4099).flatMap(this::inPlace);
  }

  private Stream<DynamicTest> inPlace(long size) {
    return Stream.of(
            trains(
                "accumulate, " + size,
                in -> {
                  Tensor sum = in.f32(0, 1, size);
                  in.backend().training().accumulate(sum, -0.3f, in.normal(size));
                  return sum;
                }),
            trains(
                "accumulate in the type itself, " + size,
                in -> {
                  Tensor sum = in.normal(size);
                  in.backend().training().accumulate(sum, 1, in.normal(size));
                  return sum;
                }),
            trains(
                "average, " + size,
                in -> {
                  Tensor average = in.f32(0, 1, size);
                  in.backend().training().average(average, 0.99, in.f32(0, 1, size));
                  return average;
                }),
            exactly(
                "swap, " + size,
                in -> {
                  Tensor a = in.f32(0, 1, size);
                  Tensor b = in.f32(0, 1, size);
                  in.backend().training().swap(a, b);
                  return Tensor.concat(0, b, a);
                }))
        .flatMap(s -> s);
  }
}
