package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.Activation;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Epilogue;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Matrix products. */
final class MatrixOps {
  private final CpuContext context;

  MatrixOps(CpuContext context) {
    this.context = context;
  }

  /** A weight matrix; for GEGLU the second half of the rows is packed apart as the gate. */
  static final class CpuLinearWeight extends LinearWeight {
    final PackedWeight weight;
    final PackedWeight gate;

    CpuLinearWeight(int in, int out, DType dtype, PackedWeight weight, PackedWeight gate) {
      super(in, out, dtype);
      this.weight = weight;
      this.gate = gate;
    }

    @Override
    protected void release() {
      weight.release();
      if (gate != null) {
        gate.release();
      }
    }
  }

  LinearWeight pack(Tensor weight, Tensor bias, DType dtype) {
    int out = weight.dim(0);
    return TensorScope.register(
        new CpuLinearWeight(
            weight.dim(1), out, dtype, packRows(weight, bias, dtype, 0, out), null));
  }

  /** For one use: not moved into another layout, which would take longer than it saves. */
  LinearWeight packForOnce(Tensor weight, Tensor bias, DType dtype) {
    int out = weight.dim(0);
    return TensorScope.register(
        new CpuLinearWeight(
            weight.dim(1),
            out,
            dtype,
            packRows(weight, bias, dtype, 0, out).asItLies(context.cache()),
            null));
  }

  LinearWeight packGeglu(Tensor weight, Tensor bias, DType dtype) {
    int inner = weight.dim(0) / 2;
    return TensorScope.register(
        new CpuLinearWeight(
            weight.dim(1),
            inner,
            dtype,
            packRows(weight, bias, dtype, 0, inner),
            packRows(weight, bias, dtype, inner, 2 * inner)));
  }

  private PackedWeight packRows(Tensor weight, Tensor bias, DType dtype, int from, int to) {
    int in = weight.dim(1);
    Tensor rows = weight.rows(from, to);
    // torch's [out, in] is oneDNN's [in, out] with the axes' strides exchanged.
    Layout layout = Layout.strided(dtype, new long[] {in, to - from}, new long[] {1, in});
    Tensor biasRows = bias == null ? null : bias.rows(from, to);
    return context.pack(rows, layout, biasRows);
  }

  Tensor linear(Tensor x, LinearWeight weight, Epilogue epilogue) {
    Shape shape = x.shape().with(-1, weight.outFeatures());
    Tensor y = context.allocate(x.dtype(), shape);
    Tensor channelBias = epilogue.channelBias();
    if (channelBias == null) {
      product(
          x,
          ((CpuLinearWeight) weight).weight,
          y,
          epilogue.activation(),
          epilogue.residual(),
          null);
      return y;
    }
    // Rare (time embeddings go to convolutions): one product per batch element, which adds its own
    // bias row.
    for (long b = 0; b < shape.dim(0); b++) {
      Tensor residual = epilogue.residual() == null ? null : epilogue.residual().rows(b, b + 1);
      Tensor bias = channelBias.rows(b, b + 1);
      product(
          x.rows(b, b + 1),
          ((CpuLinearWeight) weight).weight,
          y.rows(b, b + 1),
          epilogue.activation(),
          residual,
          bias);
    }
    return y;
  }

  Tensor geglu(Tensor x, LinearWeight packed) {
    CpuLinearWeight weight = (CpuLinearWeight) packed;
    Shape shape = x.shape().with(-1, weight.outFeatures());
    Tensor y = context.allocate(x.dtype(), shape);
    try (TensorScope scope = TensorScope.open()) {
      Tensor gate = context.allocate(x.dtype(), shape);
      product(x, weight.gate, gate, Activation.GELU, null, null);
      productTimes(x, weight.weight, y, gate);
    }
    return y;
  }

  void product(
      Tensor x,
      PackedWeight weight,
      Tensor y,
      Activation activation,
      Tensor residual,
      Tensor rowBias) {
    product(x, weight, y, activation, residual, rowBias, null);
  }

  private void productTimes(Tensor x, PackedWeight weight, Tensor y, Tensor factor) {
    product(x, weight, y, Activation.NONE, null, null, factor);
  }

  /**
   * {@code y = activation(x W + bias + rowBias) * factor + residual} over the last axis; null is
   * left out.
   */
  private void product(
      Tensor x,
      PackedWeight weight,
      Tensor y,
      Activation activation,
      Tensor residual,
      Tensor rowBias,
      Tensor factor) {
    long k = x.shape().dim(-1);
    long n = y.shape().dim(-1);
    long m = y.shape().size() / n;
    if (m == 0) {
      return;
    }
    DType dtype = x.dtype();
    boolean biased = weight.bias() != 0;
    List<Object> key =
        List.of(
            "linear",
            m,
            k,
            n,
            dtype,
            activation,
            biased,
            residual != null,
            rowBias != null,
            factor != null);
    Primitive primitive =
        context
            .cache()
            .getFor(
                weight,
                key,
                weights ->
                    linearPrimitive(
                        m,
                        k,
                        n,
                        dtype,
                        weights,
                        biased,
                        activation,
                        residual != null,
                        rowBias != null,
                        factor != null));
    List<Long> addresses = new ArrayList<>();
    addresses.add(address(x));
    addresses.add(weight.forPrimitive(primitive, context.cache()));
    addresses.add(address(y));
    if (biased) {
      addresses.add(weight.bias());
    }
    for (Tensor operand : Arrays.asList(rowBias, factor, residual)) {
      if (operand != null) {
        addresses.add(address(operand));
      }
    }
    primitive.execute(context.memory(), addresses.stream().mapToLong(Long::longValue).toArray());
    context.work().ran(new WorkLog.Product(m, k, n, dtype));
  }

  static Primitive linearPrimitive(
      long m,
      long k,
      long n,
      DType dtype,
      Layout fixedWeights,
      boolean biased,
      Activation activation,
      boolean residual,
      boolean rowBias,
      boolean factor) {
    try (Layout src = Layout.dense(dtype, m, k);
        Layout anyWeights = Layout.any(dtype, k, n);
        Layout bias = Layout.dense(DType.F32, 1, n);
        Layout row = Layout.dense(dtype, 1, n);
        Layout dst = Layout.dense(dtype, m, n);
        Attributes attributes = new Attributes()) {
      if (rowBias) {
        attributes.add(row);
      }
      attributes.activation(activation);
      if (factor) {
        attributes.multiply(dst);
      }
      if (residual) {
        attributes.add(dst);
      }
      Layout weights = fixedWeights == null ? anyWeights : fixedWeights;
      int[] names = {DNNL_ARG_SRC_0, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_BIAS};
      Layout[] layouts = {src, null, dst, bias};
      int arguments = biased ? 4 : 3;
      return Primitive.create(
          "matmul [" + m + ", " + k + "] x [" + k + ", " + n + "] " + dtype,
          (pd, attr) ->
              dnnl_matmul_primitive_desc_create(
                  pd,
                  OneDnn.ENGINE,
                  src.descriptor(),
                  weights.descriptor(),
                  biased ? bias.descriptor() : null,
                  dst.descriptor(),
                  attr.build()),
          attributes,
          Arrays.copyOf(names, arguments),
          Arrays.copyOf(layouts, arguments));
    }
  }

  Tensor matmul(Tensor a, Tensor b, boolean transposeB) {
    int rank = a.shape().rank();
    long m = a.shape().dim(-2);
    long k = a.shape().dim(-1);
    long n = b.shape().dim(transposeB ? -2 : -1);
    long batch = m * k == 0 ? 0 : a.shape().size() / (m * k);
    Tensor y = context.allocate(a.dtype(), a.shape().with(rank - 1, n));
    if (y.shape().size() == 0) {
      return y;
    }
    long[] bStrides = transposeB ? new long[] {k * n, 1, k} : new long[] {k * n, n, 1};
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("matmul", batch, m, k, n, a.dtype(), transposeB),
                () ->
                    batched(
                        Layout.dense(a.dtype(), batch, m, k),
                        Layout.strided(a.dtype(), new long[] {batch, k, n}, bStrides),
                        Layout.dense(a.dtype(), batch, m, n)));
    primitive.execute(context.memory(), address(a), address(b), address(y));
    context.work().ran(batch, new WorkLog.Product(m, k, n, a.dtype()));
    return y;
  }

  /** {@code dst = src weights}; takes the layouts over. */
  static Primitive batched(Layout src, Layout weights, Layout dst) {
    try (Attributes attributes = new Attributes()) {
      return batched(src, weights, dst, attributes);
    }
  }

  /** The same with attributes. */
  static Primitive batched(Layout src, Layout weights, Layout dst, Attributes attributes) {
    try (src;
        weights;
        dst) {
      return Primitive.create(
          "matmul",
          (pd, attr) ->
              dnnl_matmul_primitive_desc_create(
                  pd,
                  OneDnn.ENGINE,
                  src.descriptor(),
                  weights.descriptor(),
                  null,
                  dst.descriptor(),
                  attr.build()),
          attributes,
          new int[] {DNNL_ARG_SRC_0, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
          src,
          weights,
          dst);
    }
  }
}
