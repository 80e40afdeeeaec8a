package dev.longalign.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorFunction;
import dev.longalign.tensor.TensorScope;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Several devices, several backends, several threads; the emulator shows two devices. */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class DevicesTest {
  private static final int ROUNDS = 25;

  /**
   * Each thread has both backends in its hands, so that contexts would be mixed up if they could.
   */
  @ParameterizedTest
  @ValueSource(ints = {0, 1})
  void twoBackendsAtOnceFromTwoThreads(int second) throws Exception {
    Emulator.require();
    try (Backend one = Device.cuda(0).open(0);
        Backend two = Device.cuda(second).open(0)) {
      CyclicBarrier together = new CyclicBarrier(2);
      ExecutorService threads = Executors.newFixedThreadPool(2);
      try {
        List<Future<?>> runs =
            List.of(
                threads.submit(() -> run(together, one, two, 3)),
                threads.submit(() -> run(together, two, one, 5)));
        for (Future<?> run : runs) {
          run.get(60, TimeUnit.SECONDS);
        }
      } finally {
        threads.shutdownNow();
      }
      assertThat(one.memory().live() + two.memory().live()).isZero();
    }
  }

  private static Void run(CyclicBarrier together, Backend mine, Backend other, int factor)
      throws Exception {
    together.await(60, TimeUnit.SECONDS);
    try (TensorScope scope = TensorScope.open()) {
      TensorFunction scaled = mine.repeated(x -> x[0].scale(factor).scale(2));
      for (int i = 0; i < ROUNDS; i++) {
        Tensor x = Tensor.of(mine, Shape.of(2), new float[] {i, i + 1});
        Tensor elsewhere = Tensor.of(other, Shape.of(1), new float[] {i});
        assertThat(scaled.apply(x).toFloats())
            .containsExactly(2f * factor * i, 2f * factor * (i + 1));
        assertThat(elsewhere.scale(7).toFloats()).containsExactly(7f * i);
      }
    }
    return null;
  }

  @Test
  void memoryIsOfTheDeviceThatWasAsked() {
    Emulator.require();
    long[] before = {unused(0), unused(1)};
    try (Backend second = Device.cuda(1).open(0)) {
      try (TensorScope scope = TensorScope.open()) {
        second.zeros(DType.F32, Shape.of(1 << 20));
        assertThat(unused(0)).isEqualTo(before[0]);
        assertThat(unused(1)).isEqualTo(before[1] - (4 << 20));
      }
    }
    assertThat(unused(1)).isEqualTo(before[1]);
  }

  @Test
  void tensorsOfAnotherDeviceAreRefused() {
    Emulator.require();
    try (Backend one = Device.cuda(0).open(0);
        Backend two = Device.cuda(1).open(0);
        TensorScope scope = TensorScope.open()) {
      Tensor x = one.zeros(DType.F32, Shape.of(3));
      Tensor y = two.zeros(DType.F32, Shape.of(3));
      assertThatThrownBy(() -> x.add(y)).isInstanceOf(LongAlignException.class);
    }
  }

  /** What keeps the tests above honest. */
  @Test
  void theEmulatorTellsAStreamOfAnotherContext() {
    Emulator.require();
    try (CudaDevice one = new CudaDevice(0);
        CudaDevice two = new CudaDevice(1)) {
      CUdeviceptr x = new CUdeviceptr();
      JCudaDriver.cuMemAlloc(x, 4);
      assertThatThrownBy(
              () ->
                  CudaDriver.check(
                      JCudaDriver.cuMemsetD8Async(x, (byte) 0, 4, one.stream()), "clearing"))
          .hasMessageContainingAll("stream belongs to device 0", "current context to device 1");
      JCudaDriver.cuMemFree(x);
    }
  }

  private static long unused(int index) {
    try (CudaDevice device = new CudaDevice(index)) {
      long[] unused = new long[1];
      JCudaDriver.cuMemGetInfo(unused, new long[1]);
      return unused[0];
    }
  }
}
