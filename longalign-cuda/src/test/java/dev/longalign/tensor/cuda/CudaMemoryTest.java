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
    assertThat(memory.available()).isEqualTo(before);
    long address = memory.allocate(1 << 20);
    assertThat(memory.use().live()).isEqualTo(1 << 20);
    assertThat(memory.use().cached()).isZero();
    assertThat(memory.available()).isEqualTo(unused());
    memory.free(address);
    assertThat(memory.available()).isEqualTo(unused() + (1 << 20));
    assertThat(memory.use().live()).isZero();
    assertThat(memory.use().cached()).isEqualTo(1 << 20);
    assertThat(memory.use().peak()).isEqualTo(1 << 20);
    assertThat(unused()).isLessThan(before);
    memory.resetPeak();
    assertThat(memory.use().peak()).isZero();
    assertThat(unused()).isEqualTo(before);
  }

  /** The emulated device has 128 MiB. */
  @Test
  void cachedMemoryIsGivenBackBeforeAnythingFails() {
    memory.free(memory.allocate(64 << 20));
    memory.free(memory.allocate(96 << 20)); // no fit for the first, and no room beside it
    assertThat(memory.use().cached()).isEqualTo(96 << 20);
  }

  @Test
  void aLimitHoldsForLiveAndCachedTogether() {
    memory.limit(4 << 20);
    assertThat(memory.available()).isEqualTo(4 << 20);
    memory.free(memory.allocate(3 << 20));
    long address = memory.allocate(2 << 20); // the cached block goes
    assertThat(memory.use().cached()).isZero();
    assertThatThrownBy(
            () -> memory.allocate(3 << 20, CudaMemory.Kind.WEIGHTS, () -> "a weight of the test"))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContainingAll(
            "3,145,728 bytes more needed for a weight of the test",
            "tensors 2,097,152",
            "the limit here is 4,194,304 (maxMemory)");
    memory.limit(0);
    memory.allocate(3 << 20);
    memory.free(address);
  }

  @Test
  void theArenaKeepsItsBlocksForGraphsUntilTheLastIsGone() {
    memory.holdArena();
    memory.holdArena();
    memory.enterArena();
    long scratch = memory.allocate(1 << 20);
    memory.leaveArena();
    memory.free(scratch);
    assertThat(memory.use().live()).as("reserved").isEqualTo(1 << 20);
    long tensor = memory.allocate(1 << 20);
    assertThat(tensor).as("nobody else gets it").isNotEqualTo(scratch);
    memory.enterArena();
    assertThat(memory.allocate(1 << 20)).as("the next graph does").isEqualTo(scratch);
    memory.leaveArena();
    memory.free(scratch);
    memory.releaseArena();
    memory.trim();
    assertThat(memory.use().live()).isEqualTo(2 << 20);
    memory.releaseArena();
    assertThat(memory.use().live()).isEqualTo(1 << 20);
    assertThat(memory.use().cached()).isEqualTo(1 << 20);
    assertThat(memory.allocate(1 << 20)).as("then everybody").isEqualTo(scratch);
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
              "8,589,934,592 bytes more needed for the F32 [2147483648] of zeros",
              "of 134,217,728 bytes",
              "4,194,304 are held here (weights 0, tensors 4,194,304, captured steps 0; 1 blocks)",
              "a smaller picture or batch");
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
