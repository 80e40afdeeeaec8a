package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaContext.suffix;
import static dev.longalign.tensor.cuda.CudaContext.wide;

import dev.longalign.tensor.Conv2dGeometry;
import dev.longalign.tensor.Conv2dWeight;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.nio.ByteBuffer;

/**
 * Derivatives of matrix products and convolutions. With respect to x the kernels read the weight as
 * the forward pass packed it; with respect to the weight the sum over rows is computed in parts,
 * which are added in their order.
 */
final class ProductGradient {
  /** Rows that a part of a sum has at least. */
  private static final int MIN_ROWS = 256;

  /** {@code BK} of product_bwd_mma.cu. */
  private static final int ROW_UNIT = 32;

  private final CudaContext context;
  private final ProductOps products;

  ProductGradient(CudaContext context, ProductOps products) {
    this.context = context;
    this.products = products;
  }

  /** {@code struct Convolution} of product_bwd.cuh. */
  private record Convolution(
      int batch,
      int height,
      int width,
      int in,
      int outHeight,
      int outWidth,
      int out,
      int kernelHeight,
      int kernelWidth,
      int stride,
      int padTop,
      int padLeft) {

    static Convolution of(Shape x, Shape y, Conv2dGeometry g) {
      return new Convolution(
          x.intDim(0),
          x.intDim(1),
          x.intDim(2),
          g.inChannels(),
          y.intDim(1),
          y.intDim(2),
          g.outChannels(),
          g.kernelHeight(),
          g.kernelWidth(),
          g.stride(),
          g.padTop(),
          g.padLeft());
    }

    static Convolution product(int rows, int in, int out) {
      return new Convolution(1, 1, rows, in, 1, rows, out, 1, 1, 1, 0, 0);
    }

    int taps() {
      return kernelHeight * kernelWidth;
    }

    /** Pixels of y. */
    int pixels() {
      return batch * outHeight * outWidth;
    }

    /** Whether every pixel of y sees just the one of x that lies in its place. */
    boolean isProduct() {
      return taps() == 1 && stride == 1 && height == outHeight && width == outWidth;
    }

    double flops() {
      return 2.0 * pixels() * taps() * in * out;
    }

    ByteBuffer struct() {
      return ProductOps.struct(
          batch,
          height,
          width,
          in,
          outHeight,
          outWidth,
          out,
          kernelHeight,
          kernelWidth,
          stride,
          padTop,
          padLeft);
    }
  }

  // ---- with respect to x

  Tensor linearInput(Tensor dy, LinearWeight weight) {
    return linearInput(dy, ((PackedLinear) weight).matrix());
  }

  private Tensor linearInput(Tensor dy, PackedMatrix w) {
    Tensor dx = context.allocate(dy.dtype(), dy.shape().with(-1, w.columns()));
    int rows = ProductOps.rows(dy);
    return input(dy, w, Convolution.product(rows, w.columns(), w.rows()), dx);
  }

  /** The products are computed again; what follows them is the kernel's epilogue. */
  Tensor geglu(Tensor x, LinearWeight packedGeglu, Tensor dy) {
    PackedMatrix w = ((PackedLinear) packedGeglu).matrix();
    DType dtype = x.dtype();
    int rows = ProductOps.rows(x);
    Tensor dz = context.allocate(dtype, x.shape().with(-1, w.rows()));
    if (dz.shape().size() > 0) {
      products
          .gegluGradient(dtype, rows, w.rows(), w.columns())
          .address(context.address(x))
          .address(w.weights())
          .address(w.bias())
          .address(context.address(dy))
          .address(context.address(dz))
          .i32(rows)
          .i32(w.rows())
          .i32(w.columns())
          .i32(w.pitch())
          .struct(ProductOps.plain(rows, w.columns()))
          .flag(wide(dtype, w.columns(), context.address(x)))
          .run();
    }
    return linearInput(dz, w);
  }

  Tensor conv2dInput(Tensor dy, Tensor weight, Conv2dGeometry geometry, Shape x) {
    return conv2dInput(dy, products.pack(weight, null, geometry, dy.dtype()), x);
  }

  Tensor conv2dInput(Tensor dy, Conv2dWeight weight, Shape x) {
    if (dy.shape().size() == 0) {
      return context.backend().zeros(dy.dtype(), x);
    }
    Tensor dx = context.allocate(dy.dtype(), x);
    Convolution c = Convolution.of(x, dy.shape(), weight.geometry());
    return input(dy, ((PackedConv2d) weight).matrix(), c, dx);
  }

  private Tensor input(Tensor dy, PackedMatrix w, Convolution c, Tensor dx) {
    if (dx.shape().size() == 0) {
      return dx;
    }
    DType dtype = dy.dtype();
    int stride = c.stride();
    int rows = c.batch() * part(c.height(), stride) * part(c.width(), stride);
    if (stride == 1) {
      context.log().ran(new OperationLog.Product(rows, (long) c.taps() * c.out(), c.in(), dtype));
    } else {
      context.log().computed(c.flops());
    }
    boolean product = c.isProduct();
    products
        .turned(
            product ? "linearInput_bwd" : "conv2dInput_bwd", dtype, rows, c.in(), stride * stride)
        .address(context.address(dy))
        .address(w.weights())
        .address(context.address(dx))
        .struct(c.struct())
        .i32(w.pitch())
        .flag(wide(dtype, c.out(), context.address(dy)))
        .flag(product || wide(dtype, c.in(), w.weights()))
        .run();
    return dx;
  }

  private static int part(int extent, int parts) {
    return (extent + parts - 1) / parts;
  }

  // ---- with respect to the weight

  Tensor conv2dWeight(Tensor x, Tensor dy, Conv2dGeometry geometry) {
    Convolution c = Convolution.of(x.shape(), dy.shape(), geometry);
    context.log().computed(c.flops());
    return weight(x, dy, c, 1, context.allocate(DType.F32, geometry.weightShape()));
  }

  Tensor matmulTransposedA(Tensor a, Tensor b, DType dtype) {
    int k = a.dim(-2);
    int m = a.dim(-1);
    int n = b.dim(-1);
    Tensor y = context.allocate(dtype, a.shape().with(-2, m).with(-1, n));
    if (y.shape().size() == 0) {
      return y;
    }
    int matrices = Math.toIntExact(y.shape().size() / ((long) m * n));
    context.log().ran(new OperationLog.Product((long) m * matrices, k, n, a.dtype()));
    return weight(b, a, Convolution.product(k, n, m), matrices, y);
  }

  /** {@code dy^T x}, pixel by pixel, into {@code dw}. */
  private Tensor weight(Tensor x, Tensor dy, Convolution c, int matrices, Tensor dw) {
    if (dw.shape().size() == 0) {
      return dw;
    }
    if (c.pixels() == 0 || x.shape().size() == 0) {
      return context.backend().zeros(dw.dtype(), dw.shape());
    }
    int columns = c.taps() * c.in();
    long blocks = matrices * ProductOps.blocks(c.out(), columns);
    // Two blocks a multiprocessor, as many as run at a time.
    long most = Math.min(2L * context.device().multiprocessors() / blocks, c.pixels() / MIN_ROWS);
    int rows = part(part(c.pixels(), (int) Math.max(1, most)), ROW_UNIT) * ROW_UNIT;
    int parts = part(c.pixels(), rows);
    boolean direct = parts == 1 && c.taps() == 1 && dw.dtype() == DType.F32;
    Tensor sums =
        direct ? dw : context.allocate(DType.F32, Shape.of(matrices, parts, c.out(), columns));
    products
        .parts("conv2dWeight_bwd", x.dtype(), c.out(), columns, matrices * parts)
        .address(context.address(x))
        .address(context.address(dy))
        .address(context.address(sums))
        .struct(c.struct())
        .i32(parts)
        .i32(rows)
        .flag(wide(x.dtype(), c.in(), context.address(x)))
        .flag(wide(dy.dtype(), c.out(), context.address(dy)))
        .run();
    if (!direct) {
      sumParts(context, sums, dw, parts, c.taps(), c.in());
    }
    return dw;
  }

  /**
   * Adds parts in their order.
   *
   * @param sums f32 [matrices, parts, rows, taps, channels]
   * @param into [matrices, rows, channels, taps]
   */
  static void sumParts(
      CudaContext context, Tensor sums, Tensor into, int parts, int taps, int channels) {
    long total = into.shape().size();
    context
        .launch("sumParts_bwd" + suffix(into.dtype()))
        .over(total)
        .address(context.address(sums))
        .address(context.address(into))
        .i64(total)
        .i64(sums.shape().size() / sums.shape().dim(0) / parts)
        .i32(parts)
        .i32(taps)
        .i32(channels)
        .run();
  }
}
