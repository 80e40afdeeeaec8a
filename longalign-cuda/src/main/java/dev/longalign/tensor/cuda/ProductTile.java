package dev.longalign.tensor.cuda;

import dev.longalign.tensor.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * How a matrix product is cut into blocks: one instance of product_fma.cu, product_mma.cu or
 * product_wgmma.cu.
 *
 * @param family what the instance is for
 * @param rows of the result that a block computes
 * @param columns likewise
 * @param stages that product_wgmma.cu keeps in shared memory; of the others: 3
 * @param alone microseconds of a step of 64 along K where a block has a multiprocessor for itself,
 *     measured on an H200; of product_wgmma.cu
 * @param together likewise, of each of several that share it
 * @param parts of K that blocks of their own add up
 */
record ProductTile(
    Family family, int rows, int columns, int stages, double alone, double together, int parts) {
  enum Family {
    PORTABLE,
    /** Compute capability 9.0: rows of x and channels must allow 16-byte access. */
    HOPPER
  }

  /** What a row of sums has more than a tile. */
  private static final int SUMS_PADDING = 8;

  /** {@code PITCH} of product_mma.cu. */
  private static final int STAGE_PITCH = 40;

  /** {@code ROW_BYTES} and {@code ROW_ELEMENTS} of hopper.cuh. */
  private static final int ROW_BYTES = 128;

  private static final int ROW_ELEMENTS = 64;

  /** A part has at least so many steps of 64 along K. */
  private static final int STEPS_A_PART = 8;

  private static final int MAX_PARTS = 16;

  /** Microseconds before the first step and after the last: for any block, */
  private static final double EDGE = 2;

  /** and for each of its sums. */
  private static final double EDGE_PER_SUM = 1.2e-4;

  /** Microseconds that the kernel takes which adds parts up, */
  private static final double FINISH = 8;

  /** and for each sum of a part, which is written and read again. */
  private static final double FINISH_PER_SUM = 5e-6;

  static final ProductTile LARGE = portable(128);
  static final ProductTile SMALL = portable(64);

  private static final List<ProductTile> HOPPER =
      List.of(
          new ProductTile(Family.HOPPER, 128, 160, 3, 0.64, 0.59, 1),
          new ProductTile(Family.HOPPER, 128, 128, 3, 0.60, 0.50, 1),
          new ProductTile(Family.HOPPER, 64, 160, 4, 0.44, 0.32, 1),
          new ProductTile(Family.HOPPER, 64, 80, 6, 0.30, 0.22, 1));

  private static ProductTile portable(int side) {
    return new ProductTile(Family.PORTABLE, side, side, 3, Double.NaN, Double.NaN, 1);
  }

  /** The same, with K cut into so many parts. */
  ProductTile withParts(int count) {
    return new ProductTile(family, rows, columns, stages, alone, together, count);
  }

  /** As remembered; see {@link #parse}. */
  @Override
  public String toString() {
    String tile = (family == Family.HOPPER ? "hopper_" : "") + rows + "x" + columns;
    return parts == 1 ? tile : tile + "/" + parts;
  }

  /** The tile of this name, or null. */
  static ProductTile parse(String name) {
    String[] tileAndParts = name.split("/", 2);
    int parts = 1;
    if (tileAndParts.length == 2) {
      try {
        parts = Integer.parseInt(tileAndParts[1]);
      } catch (NumberFormatException e) {
        return null;
      }
    }
    int count = parts;
    return Stream.concat(Stream.of(LARGE, SMALL), HOPPER.stream())
        .filter(tile -> tile.toString().equals(tileAndParts[0]))
        .map(tile -> tile.withParts(count))
        .filter(tile -> count == 1 || (count > 1 && count <= MAX_PARTS && tile.canHaveParts()))
        .findFirst()
        .orElse(null);
  }

  private boolean canHaveParts() {
    return family == Family.HOPPER && rows == ROW_ELEMENTS;
  }

  /** The end of a kernel's name. */
  String suffix() {
    return withParts(1).toString();
  }

  /** Threads of a block of product_fma.cu or product_wgmma.cu, or of product_mma.cu. */
  int threads(DType dtype) {
    if (family == Family.HOPPER) {
      return rows * 2;
    }
    return dtype == DType.F32 ? 256 : 128;
  }

  /** Dynamic shared memory in bytes. */
  int shared(DType dtype) {
    int sums = rows * (columns + SUMS_PADDING) * Float.BYTES;
    if (dtype == DType.F32) {
      return sums;
    }
    int pitch = family == Family.HOPPER ? ROW_BYTES : STAGE_PITCH * dtype.bytes();
    return Math.max(sums, stages * (rows + columns) * pitch);
  }

  long blocks(int m, int n, int batch) {
    return (long) divideUp(m, rows) * divideUp(n, columns) * batch * parts;
  }

  /** The large tile if it gives every multiprocessor something to do. */
  static ProductTile portable(int m, int n, int batch, int multiprocessors) {
    boolean fills = LARGE.blocks(m, n, batch) >= multiprocessors && m > SMALL.rows;
    return fills ? LARGE : SMALL;
  }

  /** All that compute a product on Hopper, cut into as many parts as could pay. */
  static List<ProductTile> hopper(int m, int n, int k, int batch, int multiprocessors) {
    List<ProductTile> tiles = new ArrayList<>(HOPPER);
    for (ProductTile tile : HOPPER) {
      long blocks = tile.blocks(m, n, 1);
      for (int parts = 2; parts <= MAX_PARTS && batch == 1 && tile.canHaveParts(); parts *= 2) {
        boolean room = blocks * parts <= 2L * multiprocessors;
        if (room && divideUp(k, ROW_ELEMENTS) >= parts * STEPS_A_PART) {
          tiles.add(tile.withParts(parts));
        }
      }
    }
    return tiles;
  }

  /** About how many microseconds a product takes, of a tile for Hopper. */
  double cost(int m, int n, int k, int batch, int multiprocessors) {
    long each = (blocks(m, n, batch) + multiprocessors - 1) / multiprocessors;
    double steps = (double) divideUp(k, ROW_ELEMENTS) / parts;
    double sums = (double) parts * m * n;
    return each * steps * (each == 1 ? alone : together)
        + EDGE
        + EDGE_PER_SUM * rows * columns
        + (parts == 1 ? 0 : FINISH + FINISH_PER_SUM * sums);
  }

  private static int divideUp(int x, int by) {
    return (x + by - 1) / by;
  }
}
