package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.List;

/** Derivatives of convolutions. */
final class ConvolutionGradient {
  private final CpuContext context;
  private final ConvolutionOps convolution;

  ConvolutionGradient(CpuContext context, ConvolutionOps convolution) {
    this.context = context;
    this.convolution = convolution;
  }

  Tensor input(Tensor dy, Tensor weight, Conv2dGeometry g, Shape x) {
    return input(dy, convolution.pack(weight, null, g, dy.dtype()), x);
  }

  /** With respect to the input, which is of shape x. */
  Tensor input(Tensor dy, Conv2dWeight weight, Shape x) {
    Conv2dGeometry g = weight.geometry();
    DType dtype = dy.dtype();
    if (x.size() == 0 || dy.shape().size() == 0) {
      return context.backend().zeros(dtype, x);
    }
    Tensor dx = context.allocate(dtype, x);
    long[] dims = g.weightShape().toArray();
    PackedWeight twin =
        ((ConvolutionOps.CpuConv2dWeight) weight)
            .weight.twin(
                context.cache(), () -> Layout.dense(dtype, dims), () -> Layout.dense(dtype, dims));
    Primitive primitive =
        context
            .cache()
            .getFor(
                twin,
                List.of("conv input", x, g, dtype),
                weights -> inputPrimitive(x, dy.shape(), g, dtype, weights));
    long weights = twin.forPrimitive(primitive, context.cache());
    primitive.execute(context.memory(), address(dy), weights, address(dx));
    log(g, x, dy.shape(), dtype);
    return dx;
  }

  /** A derivative is as much arithmetic as its convolution; one without stride is a convolution. */
  private void log(Conv2dGeometry g, Shape x, Shape dy, DType dtype) {
    if (g.stride() == 1) {
      int high = g.kernelHeight() - 1;
      int wide = g.kernelWidth() - 1;
      Conv2dGeometry back =
          new Conv2dGeometry(
              g.outChannels(),
              g.inChannels(),
              g.kernelHeight(),
              g.kernelWidth(),
              1,
              high - g.padTop(),
              wide - g.padLeft(),
              high - g.padBottom(),
              wide - g.padRight());
      context.work().ran(new WorkLog.Convolution(dy, x, back, dtype));
    } else {
      context.work().computed(new WorkLog.Convolution(x, dy, g, dtype).flops());
    }
  }

  private static Primitive inputPrimitive(
      Shape in, Shape out, Conv2dGeometry g, DType dtype, Layout fixedWeights) {
    try (Layout src = nhwc(dtype, in);
        Layout any = Layout.any(dtype, g.weightShape().toArray());
        Layout dst = nhwc(dtype, out);
        Attributes attributes = new Attributes()) {
      Layout weights = fixedWeights == null ? any : fixedWeights;
      return Primitive.create(
          "gradient of the input " + dtype + " " + in + " of " + g,
          (pd, attr) ->
              dnnl_convolution_backward_data_primitive_desc_create(
                  pd,
                  OneDnn.ENGINE,
                  dnnl_convolution_direct,
                  src.descriptor(),
                  weights.descriptor(),
                  dst.descriptor(),
                  new long[] {g.stride(), g.stride()},
                  new long[] {0, 0},
                  ConvolutionOps.low(g),
                  ConvolutionOps.high(g, in, out),
                  null,
                  attr.build()),
          attributes,
          new int[] {DNNL_ARG_DIFF_DST_0, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_SRC_0},
          dst,
          null,
          src);
    }
  }

  /** With respect to the weight, summed over pictures and pixels: f32 [out, in, kh, kw]. */
  Tensor weight(Tensor x, Tensor dy, Conv2dGeometry g) {
    if (x.shape().size() == 0 || dy.shape().size() == 0) {
      return context.backend().zeros(DType.F32, g.weightShape());
    }
    if (g.stride() > 1 && isPointwise(g)) {
      // With a stride, oneDNN 3.11's AVX2 kernel loses sums of threads for fewer than 8 channels.
      try (TensorScope scope = TensorScope.open()) {
        Tensor seen = seenPixels(x, dy.shape(), g.stride());
        return scope.keep(
            weight(seen, dy, Conv2dGeometry.of(g.inChannels(), g.outChannels(), 1, 1, 0)));
      }
    }
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("conv weight", x.shape(), g, x.dtype()),
                () -> weightPrimitive(x.shape(), dy.shape(), g, x.dtype()));
    Tensor dw = context.allocate(DType.F32, g.weightShape());
    CpuMemory memory = context.memory();
    long blocked = memory.allocate(primitive.weights().bytes());
    try (Layout plain = Layout.dense(DType.F32, g.weightShape().toArray())) {
      primitive.execute(memory, address(x), address(dy), blocked);
      context.work().computed(new WorkLog.Convolution(x.shape(), dy.shape(), g, x.dtype()).flops());
      context.cache().reorderOnce(primitive.weights(), blocked, plain, address(dw));
    } finally {
      memory.free(blocked);
    }
    return dw;
  }

  private static boolean isPointwise(Conv2dGeometry g) {
    boolean padded = g.padTop() + g.padLeft() + g.padBottom() + g.padRight() > 0;
    return g.kernelHeight() == 1 && g.kernelWidth() == 1 && !padded;
  }

  /** The pixels that a 1 x 1 kernel with a stride sees. */
  private Tensor seenPixels(Tensor x, Shape out, int stride) {
    Tensor seen = context.allocate(x.dtype(), x.shape().with(1, out.dim(1)).with(2, out.dim(2)));
    long[] picture = {out.dim(1), out.dim(2), x.dim(3)};
    long[] strides = {stride * x.dim(2) * x.dim(3), stride * x.dim(3), 1};
    try (Layout sparse = Layout.strided(x.dtype(), picture, strides);
        Layout dense = Layout.dense(x.dtype(), picture);
        Primitive gather = PrimitiveCache.reorder(sparse, dense)) {
      for (int b = 0; b < x.dim(0); b++) { // strides past a picture's end do not make a batch
        gather.execute(context.memory(), address(x.rows(b, b + 1)), address(seen.rows(b, b + 1)));
      }
    }
    return seen;
  }

  private static Primitive weightPrimitive(Shape in, Shape out, Conv2dGeometry g, DType dtype) {
    try (Layout src = nhwc(dtype, in);
        Layout any = Layout.any(DType.F32, g.weightShape().toArray());
        Layout dst = nhwc(dtype, out);
        Attributes attributes = new Attributes()) {
      return Primitive.create(
          "gradient of the weight of " + g + " for " + dtype + " " + in,
          (pd, attr) ->
              dnnl_convolution_backward_weights_primitive_desc_create(
                  pd,
                  OneDnn.ENGINE,
                  dnnl_convolution_direct,
                  src.descriptor(),
                  any.descriptor(),
                  null,
                  dst.descriptor(),
                  new long[] {g.stride(), g.stride()},
                  new long[] {0, 0},
                  ConvolutionOps.low(g),
                  ConvolutionOps.high(g, in, out),
                  null,
                  attr.build()),
          attributes,
          new int[] {DNNL_ARG_SRC_0, DNNL_ARG_DIFF_DST_0, DNNL_ARG_DIFF_WEIGHTS_0},
          // The weights' layout has the type of the first layout here, which only its size uses.
          src,
          dst,
          null);
    }
  }

  private static Layout nhwc(DType dtype, Shape s) {
    return Layout.nhwc(dtype, s.dim(0), s.dim(3), s.dim(1), s.dim(2));
  }
}
