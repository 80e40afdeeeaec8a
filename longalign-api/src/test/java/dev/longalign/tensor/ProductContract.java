package dev.longalign.tensor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Matrix products, convolutions and what is fused after them. */
interface ProductContract extends Contract {

  /** Every combination of activation, channel bias and residual. */
  record Fusion(Activation activation, ChannelBias channelBias, boolean residual) {
    static final Fusion NONE = new Fusion(Activation.NONE, ChannelBias.NONE, false);

    enum ChannelBias {
      NONE,
      /** Every batch element has the same row, as with one timestep for the whole batch. */
      EQUAL_ROWS,
      DIFFERENT_ROWS
    }

    static List<Fusion> all() {
      List<Fusion> all = new ArrayList<>();
      for (Activation activation : Activation.values()) {
        for (ChannelBias channelBias : ChannelBias.values()) {
          all.add(new Fusion(activation, channelBias, false));
          all.add(new Fusion(activation, channelBias, true));
        }
      }
      return all;
    }

    Epilogue epilogue(Inputs in, Shape result) {
      return new Epilogue(
          activation, channelBias(in, result), residual ? in.normal(result.toArray()) : null);
    }

    private Tensor channelBias(Inputs in, Shape result) {
      int batch = result.intDim(0);
      int channels = result.intDim(-1);
      float[] rows = in.values(0, 1, batch, channels);
      for (int i = channels; channelBias == ChannelBias.EQUAL_ROWS && i < rows.length; i++) {
        rows[i] = rows[i - channels];
      }
      return channelBias == ChannelBias.NONE ? null : in.of(rows, batch, channels);
    }
  }

  @TestFactory
  default Stream<DynamicTest> linear() {
    List<long[]> leading =
        List.of(
            new long[] {},
            new long[] {1},
            new long[] {3},
            new long[] {2, 5},
            new long[] {1, 77},
            new long[] {3, 3, 2});
    int[][] sizes = {{1, 1}, {3, 5}, {17, 33}, {64, 64}, {320, 77}, {100, 1280}};
    List<Stream<DynamicTest>> tests = new ArrayList<>();
    for (int i = 0; i < leading.size() * sizes.length; i++) {
      long[] shape = leading.get(i % leading.size());
      int in = sizes[i / leading.size()][0];
      int out = sizes[i / leading.size()][1];
      boolean bias = i % 2 == 0;
      tests.add(linear(append(shape, in), out, bias, Fusion.NONE));
    }
    for (Fusion fusion : Fusion.all()) {
      tests.add(linear(new long[] {3, 19}, 35, true, fusion));
      tests.add(linear(new long[] {2, 9, 48}, 33, false, fusion));
    }
    return tests.stream().flatMap(s -> s);
  }

  /** Several layers of one input; what the sizes do not allow at once is computed one by one. */
  @TestFactory
  default Stream<DynamicTest> linears() {
    int[][] cases = { // rows, in, outs
      {70, 64, 320, 320, 320},
      {33, 40, 24, 24},
      {5, 3, 7, 7, 7},
      {130, 320, 64, 64},
      {9, 16, 8, 40},
      {6, 24, 16},
    };
    return Arrays.stream(cases)
        .flatMap(
            c ->
                Stream.of(true, false)
                    .flatMap(
                        together ->
                            agree(
                                "linears "
                                    + Arrays.toString(c)
                                    + (together ? ", placed together" : ""),
                                in -> linears(in, c, together))));
  }

  private static Tensor linears(Inputs in, int[] c, boolean together) {
    LinearWeight[] weights =
        Arrays.stream(c, 2, c.length)
            .mapToObj(out -> in.linear(c[1], out, out == 8))
            .toArray(LinearWeight[]::new);
    Tensor x = in.normal(2, c[0], c[1]);
    if (together) {
      x.backend().placeTogether(weights);
    }
    Tensor[] results = x.linears(weights);
    return Tensor.concat(-1, results);
  }

  private Stream<DynamicTest> linear(long[] x, int out, boolean bias, Fusion fusion) {
    int in = (int) x[x.length - 1];
    return agree(
        "linear " + Arrays.toString(x) + " -> " + out + (bias ? " bias " : " ") + fusion,
        inputs ->
            inputs
                .normal(x)
                .linear(
                    inputs.linear(in, out, bias),
                    fusion.epilogue(inputs, Shape.of(x).with(-1, out))));
  }

  @TestFactory
  default Stream<DynamicTest> geglu() {
    int[][] cases = {{1, 1, 1, 1}, {2, 7, 13, 9}, {1, 33, 64, 128}, {3, 5, 96, 40}};
    return Arrays.stream(cases)
        .flatMap(
            c ->
                agree(
                    "geglu " + Arrays.toString(c),
                    in -> in.normal(c[0], c[1], c[2]).geglu(in.geglu(c[2], c[3], c[1] % 2 == 1))));
  }

  @TestFactory
  default Stream<DynamicTest> conv2d() {
    Stream<Stream<DynamicTest>> geometries =
        Stream.of(
            conv2d(1, 1, 1, Conv2dGeometry.of(3, 5, 1, 1, 0), Fusion.NONE),
            conv2d(2, 1, 1, Conv2dGeometry.of(16, 16, 3, 1, 1), Fusion.NONE),
            conv2d(1, 5, 7, Conv2dGeometry.of(4, 320, 3, 1, 1), Fusion.NONE),
            conv2d(3, 7, 5, Conv2dGeometry.of(33, 17, 3, 1, 1), Fusion.NONE),
            conv2d(1, 12, 16, Conv2dGeometry.of(64, 4, 3, 1, 1), Fusion.NONE),
            conv2d(2, 6, 6, Conv2dGeometry.of(13, 7, 1, 1, 0), Fusion.NONE),
            conv2d(1, 7, 7, Conv2dGeometry.of(8, 8, 1, 2, 0), Fusion.NONE),
            conv2d(2, 9, 11, Conv2dGeometry.of(32, 64, 3, 2, 1), Fusion.NONE),
            conv2d(1, 1, 1, Conv2dGeometry.of(24, 3, 3, 2, 1), Fusion.NONE),
            conv2d(1, 8, 8, Conv2dGeometry.of(96, 160, 3, 1, 1), Fusion.NONE),
            conv2d(1, 8, 8, new Conv2dGeometry(16, 16, 3, 3, 2, 0, 0, 1, 1), Fusion.NONE),
            conv2d(2, 7, 9, new Conv2dGeometry(5, 9, 3, 3, 2, 0, 0, 1, 1), Fusion.NONE),
            conv2d(1, 4, 6, new Conv2dGeometry(7, 6, 3, 1, 1, 1, 0, 1, 0), Fusion.NONE),
            conv2d(2, 6, 5, new Conv2dGeometry(4, 4, 2, 3, 1, 1, 2, 0, 0), Fusion.NONE));
    Stream<Stream<DynamicTest>> fusions =
        Fusion.all().stream()
            .flatMap(
                fusion ->
                    Stream.of(
                        conv2d(3, 5, 4, Conv2dGeometry.of(16, 32, 3, 1, 1), fusion),
                        conv2d(2, 6, 7, Conv2dGeometry.of(9, 11, 3, 2, 1), fusion),
                        conv2d(1, 3, 5, Conv2dGeometry.of(20, 48, 1, 1, 0), fusion)));
    return Stream.concat(geometries, fusions).flatMap(s -> s);
  }

  private Stream<DynamicTest> conv2d(
      int batch, int height, int width, Conv2dGeometry g, Fusion fusion) {
    Shape result = Shape.of(batch, g.outHeight(height), g.outWidth(width), g.outChannels());
    boolean bias = width % 2 == 1;
    String name =
        String.format(Locale.ROOT, "conv2d %d x %d x %d %s %s", batch, height, width, g, fusion);
    return agree(
        name,
        in ->
            in.normal(batch, height, width, g.inChannels())
                .conv2d(in.conv2d(g, bias), fusion.epilogue(in, result)));
  }

  /** Twice as large is what models do; other sizes have to come out too. */
  @TestFactory
  default Stream<DynamicTest> upsampleConv2d() {
    int[][] cases = {
      {1, 1, 1, 2, 2, 3, 5},
      {2, 4, 3, 8, 6, 16, 24},
      {1, 8, 8, 16, 16, 64, 160},
      {3, 3, 5, 6, 10, 9, 7},
      {1, 4, 4, 7, 8, 8, 8},
      {1, 5, 5, 10, 13, 12, 4}
    };
    return Arrays.stream(cases)
        .flatMap(
            c ->
                agree(
                    "upsampleConv2d " + Arrays.toString(c),
                    in ->
                        in.normal(c[0], c[1], c[2], c[5])
                            .upsampleConv2d(
                                c[3],
                                c[4],
                                in.conv2d(Conv2dGeometry.of(c[5], c[6], 3, 1, 1), c[6] % 2 == 1))));
  }

  @TestFactory
  default Stream<DynamicTest> matmul() {
    int[][] cases = {{1, 1, 1}, {3, 5, 7}, {33, 16, 17}, {64, 40, 480}};
    long[][] leading = {{}, {1}, {3}, {2, 3}};
    return Arrays.stream(leading)
        .flatMap(
            l ->
                Arrays.stream(cases)
                    .flatMap(
                        c -> {
                          String name = "matmul " + Arrays.toString(l) + " " + Arrays.toString(c);
                          return Stream.concat(
                              agree(
                                  name,
                                  in ->
                                      in.normal(append(l, c[0], c[1]))
                                          .matmul(in.normal(append(l, c[1], c[2])), false)),
                              agree(
                                  name + " b^T",
                                  in ->
                                      in.normal(append(l, c[0], c[1]))
                                          .matmul(in.normal(append(l, c[2], c[1])), true)));
                        }));
  }

  private static long[] append(long[] leading, long... rest) {
    return java.util.stream.LongStream.concat(Arrays.stream(leading), Arrays.stream(rest))
        .toArray();
  }
}
