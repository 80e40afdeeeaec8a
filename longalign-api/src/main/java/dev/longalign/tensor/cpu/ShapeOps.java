package dev.longalign.tensor.cpu;

import static dev.longalign.tensor.cpu.CpuContext.address;
import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import java.util.List;

/** Casts, joins, resizes: operations that move values without computing. */
final class ShapeOps {
  private final CpuContext context;

  ShapeOps(CpuContext context) {
    this.context = context;
  }

  Tensor cast(Tensor x, DType dtype) {
    Tensor y = context.allocate(dtype, x.shape());
    context.convert(x, dtype, address(y));
    return y;
  }

  Tensor concat(int axis, Tensor... xs) {
    Shape first = xs[0].shape();
    long joined = 0;
    for (Tensor x : xs) {
      joined += x.shape().dim(axis);
    }
    long outer = 1;
    for (int i = 0; i < axis; i++) {
      outer *= first.dim(i);
    }
    Tensor y = context.allocate(xs[0].dtype(), first.with(axis, joined));
    if (y.shape().size() == 0) {
      return y;
    }
    // Every operand is a block of columns of a matrix [outer, all that follows].
    long width = y.shape().size() / outer;
    long column = 0;
    for (Tensor x : xs) {
      long columns = x.shape().size() / outer;
      if (columns > 0) {
        long to = address(y) + column * y.dtype().bytes();
        copyRows(address(x), to, outer, columns, width, x.dtype());
      }
      column += columns;
    }
    return y;
  }

  /** Copies a dense matrix into one whose rows are {@code stride} elements apart. */
  private void copyRows(long from, long to, long rows, long columns, long stride, DType dtype) {
    if (rows == 1) {
      HostMemory.copy(from, to, columns * dtype.bytes());
      return;
    }
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("copyRows", rows, columns, stride, dtype),
                () -> {
                  try (Layout source = Layout.dense(dtype, rows, columns);
                      Layout target =
                          Layout.strided(
                              dtype, new long[] {rows, columns}, new long[] {stride, 1})) {
                    return PrimitiveCache.reorder(source, target);
                  }
                });
    primitive.execute(context.memory(), from, to);
  }

  Tensor upsampleNearest(Tensor x, int height, int width) {
    int batch = x.dim(0);
    int inHeight = x.dim(1);
    int inWidth = x.dim(2);
    int channels = x.dim(3);
    Tensor y = context.allocate(x.dtype(), Shape.of(batch, height, width, channels));
    if (y.shape().size() == 0) {
      return y;
    }
    if (height == 2 * inHeight && width == 2 * inWidth) {
      doubled(x, y);
      return y;
    }
    long pixel = (long) channels * x.dtype().bytes();
    for (int b = 0; b < batch; b++) {
      for (int row = 0; row < height; row++) {
        int fromRow = source(row, inHeight, height);
        long target = address(y) + ((long) b * height + row) * width * pixel;
        long source = address(x) + ((long) b * inHeight + fromRow) * inWidth * pixel;
        for (int column = 0; column < width; column++) {
          HostMemory.copy(
              source + source(column, inWidth, width) * pixel, target + column * pixel, pixel);
        }
      }
    }
    return y;
  }

  /** torch computes the source index in f32. */
  static int source(int index, int in, int out) {
    return Math.min((int) Math.floor(index * ((float) in / out)), in - 1);
  }

  private void doubled(Tensor x, Tensor y) {
    Shape in = x.shape();
    DType dtype = x.dtype();
    Primitive primitive =
        context
            .cache()
            .get(
                List.of("doubled", in, dtype),
                () -> {
                  try (Layout source =
                          Layout.nhwc(dtype, in.dim(0), in.dim(3), in.dim(1), in.dim(2));
                      Layout target =
                          Layout.nhwc(dtype, in.dim(0), in.dim(3), 2 * in.dim(1), 2 * in.dim(2));
                      Attributes attributes = new Attributes()) {
                    return Primitive.create(
                        "upsampling",
                        (pd, attr) ->
                            dnnl_resampling_forward_primitive_desc_create(
                                pd,
                                OneDnn.ENGINE,
                                dnnl_forward_inference,
                                dnnl_resampling_nearest,
                                new float[] {2, 2},
                                source.descriptor(),
                                target.descriptor(),
                                attr.build()),
                        attributes,
                        new int[] {DNNL_ARG_SRC_0, DNNL_ARG_DST},
                        source,
                        target);
                  }
                });
    primitive.execute(context.memory(), address(x), address(y));
  }

  Tensor segmentConcat(
      Tensor hidden,
      int[][] ids,
      int[] segmentsPerCaption,
      int eosId,
      int padId,
      Tensor padEmbedding,
      int tokenLength) {
    int length = hidden.dim(1);
    int captions = segmentsPerCaption.length;
    Tensor y = context.allocate(hidden.dtype(), Shape.of(captions, tokenLength, hidden.dim(2)));
    long row = (long) hidden.dim(2) * hidden.dtype().bytes();
    long to = address(y);
    int segment = 0;
    for (int segments : segmentsPerCaption) {
      int kept = 0;
      for (int last = segment + segments; segment < last; segment++) {
        for (int token = 0; token < length && kept < tokenLength; token++) {
          if (ids[segment][token] != eosId && ids[segment][token] != padId) {
            // Kept tokens come in runs; copy a run at once.
            int run = 1;
            while (token + run < length
                && kept + run < tokenLength
                && ids[segment][token + run] != eosId
                && ids[segment][token + run] != padId) {
              run++;
            }
            HostMemory.copy(
                address(hidden) + ((long) segment * length + token) * row,
                to + kept * row,
                run * row);
            kept += run;
            token += run - 1;
          }
        }
      }
      for (; kept < tokenLength; kept++) {
        HostMemory.copy(address(padEmbedding), to + kept * row, row);
      }
      to += tokenLength * row;
    }
    return y;
  }
}
