package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.Arrays;
import java.util.List;

/** Convolutions. */
final class ConvolutionOps {
  private final CpuContext context;

  ConvolutionOps(CpuContext context) {
    this.context = context;
  }

  static final class CpuConv2dWeight extends Conv2dWeight {
    final PackedWeight weight;

    CpuConv2dWeight(Conv2dGeometry geometry, DType dtype, PackedWeight weight) {
      super(geometry, dtype);
      this.weight = weight;
    }

    @Override
    protected void release() {
      weight.release();
    }
  }

  Conv2dWeight pack(Tensor weight, Tensor bias, Conv2dGeometry geometry, DType dtype) {
    Layout layout = Layout.dense(dtype, weight.shape().toArray());
    return TensorScope.register(
        new CpuConv2dWeight(geometry, dtype, context.pack(weight, layout, bias)));
  }

  Tensor conv2d(Tensor x, Conv2dWeight weight, Epilogue epilogue) {
    Conv2dGeometry g = weight.geometry();
    Shape shape = Shape.of(x.dim(0), g.outHeight(x.dim(1)), g.outWidth(x.dim(2)), g.outChannels());
    Tensor y = context.allocate(x.dtype(), shape);
    PackedWeight packed = ((CpuConv2dWeight) weight).weight;
    if (epilogue.channelBias() == null) {
      convolve(x, packed, g, y, epilogue, packed.bias());
      return y;
    }
    // The channel bias joins the convolution's own. In sampling all rows are equal (one timestep):
    // one call does.
    float[][] rows = rowsOf(epilogue.channelBias(), packed.bias());
    try (TensorScope scope = TensorScope.open()) {
      if (Arrays.stream(rows).allMatch(row -> Arrays.equals(row, rows[0]))) {
        Tensor bias = Tensor.of(context.backend(), Shape.of(g.outChannels()), rows[0]);
        convolve(x, packed, g, y, epilogue, address(bias));
        return y;
      }
      for (int b = 0; b < rows.length; b++) {
        Tensor bias = Tensor.of(context.backend(), Shape.of(g.outChannels()), rows[b]);
        Tensor residual = epilogue.residual() == null ? null : epilogue.residual().rows(b, b + 1);
        Epilogue rest = new Epilogue(epilogue.activation(), null, residual);
        convolve(x.rows(b, b + 1), packed, g, y.rows(b, b + 1), rest, address(bias));
      }
      return y;
    }
  }

  private static float[][] rowsOf(Tensor channelBias, long bias) {
    int channels = channelBias.dim(1);
    float[] values = channelBias.toFloats();
    float[] own = new float[channels];
    if (bias != 0) {
      HostMemory.read(bias, own);
    }
    float[][] rows = new float[channelBias.dim(0)][channels];
    for (int b = 0; b < rows.length; b++) {
      for (int c = 0; c < channels; c++) {
        rows[b][c] = own[c] + values[b * channels + c];
      }
    }
    return rows;
  }

  private void convolve(
      Tensor x, PackedWeight weight, Conv2dGeometry g, Tensor y, Epilogue epilogue, long bias) {
    if (y.shape().size() == 0) {
      return;
    }
    Tensor residual = epilogue.residual();
    Activation activation = epilogue.activation();
    List<Object> key =
        List.of("conv", x.shape(), g, x.dtype(), activation, residual != null, bias != 0);
    Primitive primitive =
        context
            .cache()
            .getFor(
                weight,
                key,
                weights ->
                    primitive(
                        x.shape(),
                        y.shape(),
                        g,
                        x.dtype(),
                        weights,
                        activation,
                        residual != null,
                        bias != 0));
    long weights = weight.forPrimitive(primitive, context.cache());
    long[] addresses = {address(x), weights, address(y), 0, 0};
    int count = 3;
    if (bias != 0) {
      addresses[count++] = bias;
    }
    if (residual != null) {
      addresses[count++] = address(residual);
    }
    primitive.execute(context.memory(), Arrays.copyOf(addresses, count));
    context.work().ran(new WorkLog.Convolution(x.shape(), y.shape(), g, x.dtype()));
  }

  static Primitive primitive(
      Shape in,
      Shape out,
      Conv2dGeometry g,
      DType dtype,
      Layout fixedWeights,
      Activation activation,
      boolean residual,
      boolean biased) {
    try (Layout src = Layout.nhwc(dtype, in.dim(0), in.dim(3), in.dim(1), in.dim(2));
        Layout anyWeights = Layout.any(dtype, g.weightShape().toArray());
        Layout bias = Layout.dense(DType.F32, g.outChannels());
        Layout dst = Layout.nhwc(dtype, out.dim(0), out.dim(3), out.dim(1), out.dim(2));
        Attributes attributes = new Attributes()) {
      attributes.activation(activation);
      if (residual) {
        attributes.add(dst);
      }
      Layout weights = fixedWeights == null ? anyWeights : fixedWeights;
      int[] names = {DNNL_ARG_SRC_0, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS};
      Layout[] layouts = {src, null, dst, bias};
      int arguments = biased ? 4 : 3;
      return Primitive.create(
          "convolution of " + dtype + " " + in + " with " + g,
          (pd, attr) ->
              dnnl_convolution_forward_primitive_desc_create(
                  pd,
                  OneDnn.ENGINE,
                  dnnl_forward_inference,
                  dnnl_convolution_direct,
                  src.descriptor(),
                  weights.descriptor(),
                  biased ? bias.descriptor() : null,
                  dst.descriptor(),
                  new long[] {g.stride(), g.stride()},
                  new long[] {0, 0},
                  low(g),
                  high(g, in, out),
                  attr.build()),
          attributes,
          Arrays.copyOf(names, arguments),
          Arrays.copyOf(layouts, arguments));
    }
  }

  /** Padding above and on the left. */
  static long[] low(Conv2dGeometry g) {
    return new long[] {g.padTop(), g.padLeft()};
  }

  /**
   * Padding below and on the right: what the last output reaches beyond the input, which is nothing
   * where a stride leaves rows over.
   */
  static long[] high(Conv2dGeometry g, Shape in, Shape out) {
    return new long[] {
      Math.max(0, (out.dim(1) - 1) * g.stride() + g.kernelHeight() - in.dim(1) - g.padTop()),
      Math.max(0, (out.dim(2) - 1) * g.stride() + g.kernelWidth() - in.dim(2) - g.padLeft())
    };
  }
}
