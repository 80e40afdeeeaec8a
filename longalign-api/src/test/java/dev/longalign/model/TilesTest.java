package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TilesTest {
  private static Backend backend;

  @BeforeAll
  static void open() {
    backend = TestModels.backend();
  }

  @AfterAll
  static void close() {
    backend.close();
  }

  /**
   * A model that looks at one pixel only makes the same of the tiles as of the whole, if no pixel
   * goes astray.
   */
  @ParameterizedTest
  @CsvSource({
    "8, 9, 20, 2",
    "8, 16, 8, 2",
    "8, 30, 31, 4",
    "5, 17, 4, 1",
    "8, 24, 24, 0",
    "3, 7, 9, 2"
  })
  void putsEveryPixelWhereItBelongs(int tile, int height, int width, int shared) {
    float[] values = new float[height * width * 3];
    Random random = new Random(1);
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextFloat();
    }
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = Tensor.of(backend, Shape.of(1, height, width, 3), values);
      Tensor whole = x.upsampleNearest(4 * height, 4 * width);
      AtomicInteger calls = new AtomicInteger();
      Tensor tiled =
          new Tiles(tile, 4 * tile, shared, 4 * shared)
              .run(
                  x,
                  part -> {
                    assertThat(part.dim(1)).isLessThanOrEqualTo(tile);
                    assertThat(part.dim(2)).isLessThanOrEqualTo(tile);
                    calls.incrementAndGet();
                    return part.upsampleNearest(4 * part.dim(1), 4 * part.dim(2));
                  });
      Tolerance.relative(1e-6).check("tiles", whole, tiled);
      assertThat(calls.get()).isGreaterThan(1);
    }
  }

  /** Tiles 0, 1 and 2 of one row, four of eight columns shared: each goes over from the last. */
  @Test
  void blendsLinearly() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = Tensor.of(backend, Shape.of(1, 1, 12, 1), new float[12]);
      AtomicInteger index = new AtomicInteger();
      Tensor out =
          new Tiles(8, 8, 4, 4)
              .run(
                  x,
                  part -> {
                    float[] constant = new float[part.dim(2)];
                    Arrays.fill(constant, index.getAndIncrement());
                    return Tensor.of(backend, part.shape(), constant);
                  });
      assertThat(out.toFloats())
          .containsExactly(0, 0, 0, 0, 0, 0.25f, 0.5f, 0.75f, 1, 1.25f, 1.5f, 1.75f);
    }
  }
}
