package dev.longalign.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.util.Arrays;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Moving elements without changing them, and refusing what does not fit. */
interface ShapeContract extends Contract {

  @TestFactory
  default Stream<DynamicTest> upload() {
    long[][] shapes = {{}, {1}, {7}, {3, 5}, {2, 3, 4, 5}, {1, 0, 3}, {1021}};
    return Arrays.stream(shapes)
        .flatMap(dims -> agreeExactly("upload " + Arrays.toString(dims), in -> in.normal(dims)));
  }

  @TestFactory
  default Stream<DynamicTest> zeros() {
    return agreeExactly(
        "zeros",
        in -> {
          in.normal(3, 41).scale(2); // memory that is handed out again must be cleared
          return in.backend().zeros(in.dtype(), Shape.of(3, 41));
        });
  }

  @TestFactory
  default Stream<DynamicTest> views() {
    return Stream.of(
            agreeExactly("reshape", in -> in.normal(2, 3, 4).reshape(6, 4)),
            agreeExactly("rows", in -> in.normal(5, 7).rows(1, 4)),
            agreeExactly("rows of rows", in -> in.normal(9, 3, 2).rows(2, 8).rows(1, 3)),
            agreeExactly("no rows", in -> in.normal(5, 7).rows(3, 3)),
            agreeExactly(
                "reshape of rows", in -> in.normal(4, 6).rows(1, 3).reshape(3, 4).rows(2, 3)),
            agree(
                "arithmetic on rows",
                in -> {
                  Tensor x = in.normal(6, 5);
                  return Tensor.linearCombination(new float[] {2, -1}, x.rows(0, 3), x.rows(3, 6));
                }))
        .flatMap(s -> s);
  }

  @TestFactory
  default Stream<DynamicTest> concat() {
    long[][][] cases = {
      {{0}, {2, 3}, {4, 3}},
      {{1}, {2, 3}, {2, 1}, {2, 5}},
      {{-1}, {2, 4, 4, 16}, {2, 4, 4, 32}},
      {{3}, {1, 3, 5, 7}, {1, 3, 5, 9}},
      {{1}, {2, 240, 24}, {2, 240, 24}},
      {{2}, {2, 3, 1, 5}, {2, 3, 4, 5}},
      {{0}, {3}, {1}, {9}},
      {{-2}, {2, 0, 5}, {2, 3, 5}},
      {{0}, {1, 2, 2}, {1, 2, 2}, {1, 2, 2}},
    };
    return Arrays.stream(cases)
        .flatMap(
            c ->
                agreeExactly(
                    "concat " + Arrays.deepToString(c),
                    in ->
                        Tensor.concat(
                            (int) c[0][0],
                            Arrays.stream(c).skip(1).map(in::normal).toArray(Tensor[]::new))));
  }

  @TestFactory
  default Stream<DynamicTest> upsampleNearest() {
    int[][] cases = { // batch, height, width, channels, to height, to width
      {1, 1, 1, 3, 7, 9},
      {2, 4, 4, 16, 8, 8},
      {1, 3, 5, 8, 5, 9},
      {3, 2, 3, 33, 3, 5},
      {1, 6, 10, 4, 12, 20},
      {1, 8, 7, 5, 3, 4}
    };
    return Arrays.stream(cases)
        .flatMap(
            c ->
                agreeExactly(
                    "upsampleNearest " + Arrays.toString(c),
                    in -> in.normal(c[0], c[1], c[2], c[3]).upsampleNearest(c[4], c[5])));
  }

  @Test
  default void shapesThatDoNotFitAreRefused() {
    try (TensorScope scope = TensorScope.open()) {
      Inputs in = new Inputs(backend(), DType.F32, false, 1);
      Tensor x = in.normal(2, 4096, 320);
      Tensor gamma = in.f32(1, 0, 320);
      Tensor image = in.normal(2, 5, 5, 4);
      LinearWeight weight = in.linear(768, 320, true);
      LinearWeight square = in.linear(320, 320, true);
      Conv2dWeight kernel = in.conv2d(Conv2dGeometry.of(9, 8, 3, 1, 1), false);
      Conv2dWeight large = in.conv2d(Conv2dGeometry.of(4, 8, 7, 1, 0), false);
      long live = backend().memory().live();
      refused(() -> x.linear(weight), "linear", "[2, 4096, 320]", "[768, 320]");
      refused(() -> x.geglu(weight), "geglu", "[2, 4096, 320]");
      refused(
          () -> x.linear(square, Epilogue.residual(image)),
          "linear",
          "residual F32 [2, 5, 5, 4]",
          "[2, 4096, 320]");
      refused(
          () -> x.linear(square, Epilogue.channelBias(gamma)), "linear", "channel bias F32 [320]");
      refused(() -> image.conv2d(kernel), "conv2d", "[2, 5, 5, 4]", "[B, H, W, 9]");
      refused(() -> image.conv2d(large), "conv2d", "smaller than the kernel");
      refused(() -> x.matmul(x, false), "matmul", "inner dimensions differ");
      refused(() -> x.matmul(x.rows(0, 1), true), "matmul", "leading axes differ");
      refused(
          () -> x.attention(x, x, 7, 1), "attention", "320 channels do not divide into 7 heads");
      refused(
          () -> x.attention(x.rows(0, 1), x.rows(0, 1), 8, 1),
          "attention",
          "[2, 4096, 320]",
          "[1, 4096, 320]");
      refused(() -> x.groupNorm(7, gamma, gamma, 1e-5f, Activation.NONE), "groupNorm", "7 groups");
      refused(() -> image.layerNorm(gamma, gamma, 1e-5f), "layerNorm", "F32 [320]", "[2, 5, 5, 4]");
      refused(() -> in.normal(3).gatedGelu(), "gatedGelu", "[3] is odd");
      refused(() -> x.add(image), "linearCombination", "[2, 5, 5, 4]");
      refused(() -> x.clamp(1, 0), "clamp", "[1.0, 0.0]");
      refused(() -> x.reshape(3, 3), "reshape", "[3, 3]", "[2, 4096, 320]");
      refused(() -> x.rows(1, 3), "rows", "[1, 3)");
      refused(() -> Tensor.concat(1, x, image), "concat", "along axis 1");
      refused(() -> image.upsampleNearest(0, 4), "upsampleNearest", "0 x 4");
      refused(() -> Tensor.of(backend(), Shape.of(2, 2), 1, 2, 3), "3 values do not fill [2, 2]");
      assertThat(backend().memory().live() - live)
          .as("bytes left by refused operations, in blocks of the device's pool")
          .isLessThanOrEqualTo(256);
    }
  }

  private static void refused(ThrowingCallable operation, String... words) {
    assertThatThrownBy(operation)
        .isInstanceOf(LongAlignException.class)
        .hasMessageContainingAll(words);
  }
}
