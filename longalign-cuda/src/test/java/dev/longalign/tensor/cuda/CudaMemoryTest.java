package dev.longalign.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;

/** The pool: what it keeps, what it gives back, and what it says when there is no more. */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class CudaMemoryTest {
  private CudaDevice device;
  private CudaMemory memory;

  @BeforeEach
  void open() {
    Emulator.require();
    device = new CudaDevice(0);
    memory = new CudaMemory(device, true);
  }

  @AfterEach
  void close() {
    if (memory != null) {
      memory.close();
      device.close();
    }
  }

  private long unused() {
    device.makeCurrent();
    long[] unused = new long[1];
    JCudaDriver.cuMemGetInfo(unused, new long[1]);
    return unused[0];
  }

  @Test
  void theSameRequestsGetTheSameAddresses() {
    long[] sizes = {100, 5_000_000, 4096, 100};
    long[] first = new long[sizes.length];
    for (int i = 0; i < sizes.length; i++) {
      first[i] = memory.allocate(sizes[i]);
      assertThat(first[i] % 256).isZero();
    }
    for (int i = sizes.length - 1; i >= 0; i--) {
      memory.free(first[i]);
    }
    for (int i = 0; i < sizes.length; i++) {
      assertThat(memory.allocate(sizes[i])).isEqualTo(first[i]);
    }
  }

  @Test
  void countsWhatIsLiveAndCached() {
    long before = unused();
    long address = memory.allocate(1 << 20);
    assertThat(memory.use().live()).isEqualTo(1 << 20);
    assertThat(memory.use().cached()).isZero();
    memory.free(address);
    assertThat(memory.use().live()).isZero();
    assertThat(memory.use().cached()).isEqualTo(1 << 20);
    assertThat(memory.use().peak()).isEqualTo(1 << 20);
    assertThat(unused()).isLessThan(before);
    memory.resetPeak();
    assertThat(memory.use().peak()).isZero();
    assertThat(unused()).isEqualTo(before);
  }

  /** The emulated device has 4 GiB. */
  @Test
  void cachedMemoryIsGivenBackBeforeAnythingFails() {
    memory.free(memory.allocate(3L << 30));
    memory.free(memory.allocate((3L << 30) + (1L << 29) + (1L << 28)));
    assertThat(memory.use().cached()).isLessThan(4L << 30);
  }

  @Test
  void outOfMemorySaysWhoHoldsWhatAndLeavesTheBackendUsable() {
    try (Backend backend = Device.cuda(0).open(0);
        TensorScope scope = TensorScope.open()) {
      Tensor held = backend.zeros(DType.F32, Shape.of(1 << 20));
      assertThatThrownBy(() -> backend.zeros(DType.F32, Shape.of(1L << 31)))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContainingAll(
              "out of memory",
              "asked for 8589934592 bytes",
              "4294967296 bytes",
              "4194304 are held");
      assertThat(held.scale(2).rows(0, 3).toFloats()).containsExactly(0, 0, 0);
    }
  }

  @Test
  void closingTheBackendGivesEverythingBack() {
    long before = unused();
    Backend backend = Device.cuda(0).open(0);
    try (TensorScope scope = TensorScope.open()) {
      backend.zeros(DType.F32, Shape.of(1000)).scale(2);
    }
    backend.close();
    backend.close();
    assertThat(unused()).isEqualTo(before);
    try (TensorScope scope = TensorScope.open()) {
      assertThatThrownBy(() -> backend.zeros(DType.F32, Shape.of(3)))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("closed");
    }
  }
}
