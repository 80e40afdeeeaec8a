package dev.longalign.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** Who frees what, and what happens on several threads. */
interface ScopeContract extends Contract {

  private Inputs inputs() {
    return new Inputs(backend(), DType.F32, false, 42);
  }

  @Test
  default void closingAScopeFreesWhatItOwns() {
    long before = backend().memory().live();
    try (TensorScope scope = TensorScope.open()) {
      Inputs in = inputs();
      Tensor x = in.normal(2, 6, 6, 16);
      assertThat(backend().memory().live() - before).isGreaterThanOrEqualTo(4 * 2 * 6 * 6 * 16);
      long withX = backend().memory().live();
      Conv2dWeight weight = in.conv2d(Conv2dGeometry.of(16, 32, 3, 1, 1), true);
      assertThat(backend().memory().live()).as("a packed weight counts").isGreaterThan(withX);
      x.conv2d(weight).activation(Activation.SILU);
    }
    assertThat(backend().memory().live()).isEqualTo(before);
  }

  @Test
  default void viewsTakeNoMemory() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = inputs().normal(4, 6);
      long live = backend().memory().live();
      x.reshape(2, 12).rows(0, 1);
      assertThat(backend().memory().live()).isEqualTo(live);
    }
  }

  @Test
  default void peakIsTheMostThatWasLive() {
    try (TensorScope scope = TensorScope.open()) {
      backend().resetPeakMemory();
      long start = backend().memory().peak();
      try (TensorScope inner = TensorScope.open()) {
        backend().zeros(DType.F32, Shape.of(1 << 20));
      }
      MemoryUse use = backend().memory();
      assertThat(use.peak()).isGreaterThanOrEqualTo(use.live() + (4 << 20));
      assertThat(use.peak() - start).isLessThan(8 << 20);
    }
  }

  @Test
  default void keepMovesToTheEnclosingScope() {
    try (TensorScope outer = TensorScope.open()) {
      Tensor kept;
      Tensor lost;
      float[] values;
      try (TensorScope inner = TensorScope.open()) {
        kept = inner.keep(inputs().normal(3, 5));
        lost = inputs().normal(3, 5);
        values = kept.toFloats();
        assertThat(inner.keep(kept)).as("keeping twice").isSameAs(kept);
      }
      assertThat(kept.toFloats()).containsExactly(values);
      assertThatThrownBy(lost::toFloats).isInstanceOf(LongAlignException.class);
    }
  }

  @Test
  default void keepingAViewKeepsItsMemory() {
    try (TensorScope outer = TensorScope.open()) {
      Tensor rows;
      try (TensorScope inner = TensorScope.open()) {
        rows = inner.keep(inputs().normal(3, 5).rows(1, 2));
      }
      assertThat(rows.toFloats()).hasSize(5);
    }
  }

  @Test
  default void detachedScopeOutlivesItsThreadsScopes() throws Exception {
    long before = backend().memory().live();
    TensorScope detached = TensorScope.detached();
    LinearWeight weight;
    try (TensorScope scope = TensorScope.open()) {
      weight = detached.adopt(inputs().linear(8, 8, true));
    }
    try (TensorScope scope = TensorScope.open()) {
      assertThat(inputs().normal(2, 8).linear(weight).toFloats())
          .hasSize(16)
          .doesNotContain(Float.NaN);
    }
    Thread thread = new Thread(detached::close);
    thread.start();
    thread.join();
    assertThat(weight.isAlive()).isFalse();
    assertThat(backend().memory().live()).isEqualTo(before);
  }

  @Test
  default void useAfterCloseNamesTheTensor() {
    Tensor x;
    LinearWeight weight;
    Conv2dWeight kernel;
    try (TensorScope scope = TensorScope.open()) {
      x = inputs().normal(2, 3, 8);
      weight = inputs().linear(8, 9, true);
      kernel = inputs().conv2d(Conv2dGeometry.of(8, 4, 3, 1, 1), true);
    }
    try (TensorScope scope = TensorScope.open()) {
      assertThatThrownBy(x::toFloats)
          .isInstanceOf(LongAlignException.class)
          .hasMessageContainingAll("F32 [2, 3, 8]", "closed", "keep()");
      assertThatThrownBy(() -> x.activation(Activation.SILU))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("F32 [2, 3, 8]");
      assertThatThrownBy(() -> x.rows(0, 1).toFloats())
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("closed");
      Tensor y = inputs().normal(2, 3, 3, 8);
      assertThatThrownBy(() -> y.linear(weight))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContainingAll("linear", "[9, 8]", "closed");
      assertThatThrownBy(() -> y.conv2d(kernel))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContainingAll("conv2d", "[4, 8, 3, 3]", "closed");
    }
  }

  @Test
  default void noScopeSaysWhatToDo() {
    assertThatThrownBy(() -> backend().zeros(DType.F32, Shape.of(3)))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("TensorScope.open()");
  }

  @Test
  default void scopesCloseInnermostFirst() {
    try (TensorScope outer = TensorScope.open()) {
      try (TensorScope inner = TensorScope.open()) {
        assertThatThrownBy(outer::close)
            .isInstanceOf(LongAlignException.class)
            .hasMessageContaining("innermost first");
        inner.close();
        inner.close();
        assertThat(TensorScope.current()).isSameAs(outer);
      }
    }
  }

  /** Eight threads compute the same thing, each with its own scopes, sharing the weights. */
  @Test
  default void threadsDoNotDisturbEachOther() throws Exception {
    long before = backend().memory().live();
    int threads = 8;
    ExecutorService executor = Executors.newFixedThreadPool(threads);
    try (TensorScope scope = TensorScope.open()) {
      Inputs in = inputs();
      LinearWeight linear = in.linear(32, 32, true);
      Conv2dWeight conv = in.conv2d(Conv2dGeometry.of(32, 32, 3, 1, 1), true);
      Tensor gamma = in.f32(1, 0.3, 32);
      float[] expected = block(linear, conv, gamma);
      CountDownLatch start = new CountDownLatch(threads);
      List<Future<float[]>> results = new ArrayList<>();
      for (int t = 0; t < threads; t++) {
        results.add(
            executor.submit(
                () -> {
                  start.countDown();
                  start.await();
                  float[] last = null;
                  for (int i = 0; i < 5; i++) {
                    last = block(linear, conv, gamma);
                    Tolerance.EXACT.check(
                        "thread result " + i, Shape.of(last.length), expected, last);
                  }
                  return last;
                }));
      }
      for (Future<float[]> result : results) {
        assertThat(result.get(60, TimeUnit.SECONDS)).hasSize(expected.length);
      }
    } finally {
      executor.shutdownNow();
    }
    assertThat(backend().memory().live()).isEqualTo(before);
  }

  /** A little of everything on [2, 6, 6, 32]. */
  private float[] block(LinearWeight linear, Conv2dWeight conv, Tensor gamma) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor x = inputs().normal(2, 6, 6, 32);
      Tensor h =
          x.groupNorm(8, gamma, gamma, 1e-5f, Activation.SILU).conv2d(conv, Epilogue.residual(x));
      Tensor tokens = h.reshape(2, 36, 32).layerNorm(gamma, gamma, 1e-5f);
      Tensor q = tokens.linear(linear);
      Tensor attended =
          q.attention(tokens, tokens, 4, 0.35f).linear(linear, Epilogue.residual(tokens));
      return Tensor.concat(-1, attended, attended.activation(Activation.GELU))
          .gatedGelu()
          .toFloats();
    }
  }
}
