package dev.longalign.tensor;

import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * A NaN reaches exactly the outputs that depend on it: a model that has diverged must not produce
 * an innocent picture.
 */
interface NanContract extends Contract {

  @TestFactory
  default Stream<DynamicTest> nanIsNotLost() {
    return Stream.of(
            nan("linear", in -> poisoned(in, 3, 40).linear(in.linear(40, 33, true))),
            nan(
                "linear, SILU",
                in ->
                    poisoned(in, 3, 40)
                        .linear(in.linear(40, 33, true), Epilogue.activation(Activation.SILU))),
            nan(
                "linear, GELU",
                in ->
                    poisoned(in, 3, 40)
                        .linear(in.linear(40, 33, true), Epilogue.activation(Activation.GELU))),
            nan(
                "linear, residual",
                in ->
                    in.normal(3, 40)
                        .linear(in.linear(40, 33, true), Epilogue.residual(poisoned(in, 3, 33)))),
            nan(
                "linear, channel bias",
                in ->
                    in.normal(3, 40)
                        .linear(
                            in.linear(40, 33, true), Epilogue.channelBias(poisoned(in, 3, 33)))),
            nan("geglu", in -> poisoned(in, 3, 40).geglu(in.geglu(40, 24, true))),
            nan(
                "conv2d",
                in ->
                    poisoned(in, 2, 9, 9, 16)
                        .conv2d(in.conv2d(Conv2dGeometry.of(16, 16, 3, 1, 1), true))),
            nan("matmul", in -> poisoned(in, 2, 5, 16).matmul(in.normal(2, 16, 9), false)),
            nan(
                "attention, q",
                in ->
                    poisoned(in, 2, 9, 32)
                        .attention(in.normal(2, 7, 32), in.normal(2, 7, 32), 2, 0.25f)),
            nan(
                "attention, k",
                in ->
                    in.normal(2, 9, 32)
                        .attention(poisoned(in, 2, 7, 32), in.normal(2, 7, 32), 2, 0.25f)),
            nan(
                "attention, v",
                in ->
                    in.normal(2, 9, 32)
                        .attention(in.normal(2, 7, 32), poisoned(in, 2, 7, 32), 2, 0.25f)),
            nan(
                "groupNorm",
                in ->
                    poisoned(in, 2, 5, 5, 16)
                        .groupNorm(
                            4, in.f32(1, 0.3, 16), in.f32(0, 1, 16), 1e-5f, Activation.SILU)),
            nan(
                "layerNorm",
                in -> poisoned(in, 3, 33).layerNorm(in.f32(1, 0.3, 33), in.f32(0, 1, 33), 1e-5f)),
            nan("SILU", in -> poisoned(in, 3, 33).activation(Activation.SILU)),
            nan("GELU", in -> poisoned(in, 3, 33).activation(Activation.GELU)),
            nan("gatedGelu", in -> poisoned(in, 3, 34).gatedGelu()),
            nan("linearCombination", in -> poisoned(in, 3, 33).add(in.normal(3, 33))),
            nan("clamp", in -> poisoned(in, 3, 33).clamp(-1, 1)),
            nan("concat", in -> Tensor.concat(-1, in.normal(3, 5), poisoned(in, 3, 33))),
            nan("upsampleNearest", in -> poisoned(in, 1, 3, 3, 5).upsampleNearest(6, 6)))
        .flatMap(s -> s);
  }

  @TestFactory
  default Stream<DynamicTest> nanIsNotLostInTraining() {
    boolean[] wanted = {true, false, false};
    return Stream.of(
            nan("multiply", in -> in.normal(3, 33).multiply(poisoned(in, 3, 33))),
            nan("pseudoHuber", in -> poisoned(in, 3, 33).pseudoHuber(0.5f)),
            nan("scaleExp", in -> poisoned(in, 3, 33).scaleExp(in.f32(0, 1))),
            nan("normalizeRows", in -> poisoned(in, 3, 33).normalizeRows()),
            nan("logSumExp", in -> poisoned(in, 3, 33).logSumExp()),
            nan("rowDots", in -> in.normal(3, 33).rowDots(poisoned(in, 3, 33))),
            nan("sum", in -> poisoned(in, 3, 33).sum()),
            nan("gatherRows", in -> poisoned(in, 3, 33).gatherRows(2, 1, 0, 1)),
            nan(
                "the gradient of gatherRows",
                in -> gradients(in).scatterRows(poisoned(in, 3, 33), new int[] {1, 2, 1}, 4)),
            nan("columnSums", in -> gradients(in).columnSums(poisoned(in, 4, 33), 2)),
            nan(
                "the gradient of SILU",
                in ->
                    gradients(in)
                        .activation(poisoned(in, 3, 33), Activation.SILU, in.normal(3, 33))),
            nan(
                "the gradient of gatedGelu",
                in -> gradients(in).gatedGelu(poisoned(in, 3, 34), in.normal(3, 17))),
            nan(
                "the gradient of logSumExp",
                in -> gradients(in).logSumExp(poisoned(in, 3, 33), in.f32(0, 1, 3))),
            nan(
                "the gradient of normalizeRows",
                in -> gradients(in).normalizeRows(in.normal(3, 33), poisoned(in, 3, 33))),
            nan(
                "the gradient of layerNorm",
                in ->
                    gradients(in)
                        .layerNorm(
                            poisoned(in, 3, 33),
                            in.f32(1, 0.3, 33),
                            1e-5f,
                            in.normal(3, 33),
                            wanted)[0]),
            nan(
                "the gradient of groupNorm",
                in ->
                    gradients(in)
                        .groupNorm(
                            in.normal(2, 5, 5, 16),
                            4,
                            in.f32(1, 0.3, 16),
                            in.f32(0, 1, 16),
                            1e-5f,
                            Activation.SILU,
                            poisoned(in, 2, 5, 5, 16),
                            wanted)[0]))
        .flatMap(s -> s);
  }

  private static GradientOps gradients(Inputs in) {
    return in.backend().gradients();
  }

  private Stream<DynamicTest> nan(String name, Function<Inputs, Tensor> operation) {
    return agree("NaN through " + name, operation);
  }

  /** Random values with one NaN, away from the first and last row. */
  private static Tensor poisoned(Inputs in, long... dims) {
    float[] values = in.values(0, 1, dims);
    values[values.length / 2] = Float.NaN;
    return in.of(values, dims);
  }
}
