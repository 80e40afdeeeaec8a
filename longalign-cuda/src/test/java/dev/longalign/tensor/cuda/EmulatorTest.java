package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaDriver.check;
import static jcuda.driver.JCudaDriver.cuMemcpyDtoH;
import static jcuda.driver.JCudaDriver.cuModuleGetFunction;
import static jcuda.driver.JCudaDriver.cuModuleLoad;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import java.nio.ByteBuffer;
import jcuda.Pointer;
import jcuda.driver.CUmodule;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a GPU would not tell, the emulator does: each kernel of wrong.cu is wrong in one way. */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class EmulatorTest {
  private static final int N = 128;
  private static final int ROWS = 4;
  private static final int BOX = 8;
  private static final CUmodule MODULE = new CUmodule();
  private static CudaDevice device;
  private CudaMemory memory;
  private long x;
  private long y;

  @BeforeAll
  static void open() {
    Emulator.require();
    device = new CudaDevice(0);
    check(cuModuleLoad(MODULE, Emulator.folder().resolve("wrong.so").toString()), "wrong.so");
  }

  @AfterAll
  static void close() {
    if (device != null) {
      device.close();
    }
  }

  @BeforeEach
  void operands() {
    memory = new CudaMemory(device, false);
    x = memory.allocate(N * Float.BYTES);
    y = memory.allocate(N * Float.BYTES);
    float[] values = new float[N];
    for (int i = 0; i < N; i++) {
      values[i] = i;
    }
    check(
        jcuda.driver.JCudaDriver.cuMemcpyHtoD(
            CudaMemory.pointer(x), Pointer.to(values), N * Float.BYTES),
        "upload");
  }

  @AfterEach
  void free() {
    memory.close();
  }

  private static Launch kernel(String name) {
    Launch.Function function = new Launch.Function();
    check(cuModuleGetFunction(function, MODULE, name), name);
    return new Launch(device, name, function).threads(N);
  }

  private Launch operands(Launch launch) {
    return launch.address(x).address(y).i32(N);
  }

  private void run(String name) {
    run(name, 1);
  }

  private void run(String name, int blocks) {
    operands(kernel(name).grid(blocks, 1, 1).shared(4 * N * Float.BYTES)).run();
  }

  @Test
  void aRightKernelRuns() {
    run("right");
    float[] values = new float[N];
    check(cuMemcpyDtoH(Pointer.to(values), CudaMemory.pointer(y), N * Float.BYTES), "download");
    for (int i = 0; i < N; i++) {
      assertThat(values[i]).isEqualTo(N - 1 - i + 32);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "reads_beyond, out-of-bounds read of 4 bytes, byte 512 of an allocation of 512 bytes",
    "writes_beyond, out-of-bounds write of 4 bytes, byte 512 of an allocation of 512 bytes",
    "reads_before, out-of-bounds read of 4 bytes, 'block (0, 0, 0), thread (0, 0, 0)'",
    "reads_null, read through a null pointer, 'block (0, 0, 0)'",
    "reads_uninitialised, uninitialised read of 4 bytes, of an allocation of 512 bytes",
    "reads_shared_beyond, uninitialised read of 4 bytes, of the shared memory",
    "forgets_barrier, uninitialised read of 4 bytes, 'thread (0, 0, 0)'",
    "forgets_copy_wait, uninitialised read of 4 bytes, 'block (0, 0, 0)'",
    "returns_before_barrier, mismatched barrier, 64 of 128 threads never reach",
    "different_barriers, mismatched barriers, this thread is in the one of line",
    "shuffles_in_part_of_a_warp, mismatched warp-wide operation, never reach",
    "misaligned, misaligned access, 16-byte alignment",
    "misaligned_copy, misaligned asynchronous copy, multiples of 16",
    "waits_for_nobody, mismatched barrier 1, 64 of 128 threads have come to it",
    "arrives_in_vain, mismatched barrier 2, 64 of 128 threads have come to it at the end",
    "counts_differently, mismatched barrier 3, 'of 128 threads here, of 96 for those'",
    "barrier_of_half_a_warp, barrier 1, of whole warps",
    "forgets_products, never waited for, products of a warpgroup"
  })
  void aWrongKernelIsTold(String kernel, String what, String where) {
    assertThatThrownBy(() -> run(kernel))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContainingAll("kernel " + kernel, what, where);
    run("right"); // and the device is still good
  }

  /** Blocks run in different orders: what is wrong in one order only is told in one of several. */
  @ParameterizedTest
  @CsvSource({
    "arrives_before_its_copies, uninitialised read of 4 bytes",
    "overwrites_operand, uninitialised read of 2 bytes"
  })
  void aWrongOrderIsTold(String kernel, String what) {
    assertThatThrownBy(() -> run(kernel, 4))
        .hasMessageContainingAll("kernel " + kernel, what, "of the shared memory");
    run("right", 4);
  }

  /** One of {@link #ROWS} rows of 64 elements; x has bf16 numbers at odd places, 4 a chunk on. */
  private void runWithBox(String name, int row, int blocks) {
    ByteBuffer map = TensorMap.ofHeads(DType.BF16, x, 1, ROWS, 1, N * 2 / ROWS, BOX);
    kernel(name).grid(blocks, 1, 1).shared(4096).struct(map).address(y).i32(row).run();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 3, -2, -8, 100})
  void aBoxIsCopiedAndWhatIsOutsideIsZero(int first) {
    runWithBox("copies_a_box", first, 4);
    float[] values = new float[N];
    check(cuMemcpyDtoH(Pointer.to(values), CudaMemory.pointer(y), N * Float.BYTES), "download");
    for (int i = 0; i < N; i++) {
      int row = first + i % BOX;
      boolean exists = row >= 0 && row < ROWS;
      assertThat(values[i]).isEqualTo(exists ? row * N / ROWS + i / 8 % 8 * 4 : 0);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "forgets_the_arrival, uninitialised read of 2 bytes",
    "copies_over_what_is_read, uninitialised read of 2 bytes",
    "expects_too_much, mismatched mbarrier at 2048: 1024 bytes are missing",
    "copies_unasked, 'mismatched mbarrier at 2048: -1024 bytes are missing, none were expected'",
    "waits_before_it_is_made, mbarrier at byte 0 of the shared memory: nobody has made it yet",
    "copies_to_an_odd_place, misaligned bulk copy"
  })
  void aWrongBulkCopyIsTold(String kernel, String what) {
    assertThatThrownBy(() -> runWithBox(kernel, 0, 4))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContainingAll("kernel " + kernel, what);
    runWithBox("copies_a_box", 0, 4);
  }

  @Test
  void aTensorThatBulkCopiesCannotHaveIsTold() {
    assertThatThrownBy(() -> TensorMap.ofHeads(DType.BF16, x + 8, 1, 4, 1, 64, BOX))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContainingAll("makes no map (error 1) of a BF16 tensor", "1 heads of 64");
    assertThatThrownBy(() -> TensorMap.ofHeads(DType.F16, x, 1, 4, 2, 12, BOX))
        .hasMessageContaining("2 heads of 12");
  }

  /** On Hopper a kernel may be there before what it reads has been written. */
  @ParameterizedTest
  @CsvSource({
    "waits_too_late, device memory is touched before the kernels before this one",
    "does_nothing, may run beside the kernels before it and does not wait"
  })
  void aKernelThatDoesNotWaitForThoseBeforeItIsTold(String name, String what) {
    CUmodule module = new CUmodule();
    try (CudaDevice hopper = new CudaDevice(Emulator.hopper())) {
      CudaMemory there = new CudaMemory(hopper, false);
      assertThat(hopper.overlapsKernels()).isTrue();
      check(cuModuleLoad(module, Emulator.folder().resolve("wrong.so").toString()), "wrong.so");
      Launch.Function function = new Launch.Function();
      check(cuModuleGetFunction(function, module, name), name);
      long address = there.allocate(N * Float.BYTES);
      Launch launch = new Launch(hopper, name, function).threads(N).address(address);
      assertThatThrownBy(launch::run).hasMessageContaining(what);
      there.close();
    } finally {
      device.makeCurrent();
    }
    kernel(name).address(y).run(); // elsewhere it has its turn
  }

  @Test
  void sharedMemoryBeyondItsEndIsTold() {
    assertThatThrownBy(() -> operands(kernel("reads_shared_beyond").shared(N * Float.BYTES)).run())
        .hasMessageContaining("out-of-bounds read of 4 bytes");
  }

  @Test
  void useAfterFreeIsTold() {
    memory.free(x);
    assertThatThrownBy(() -> run("right")).hasMessageContaining("use after free: read of 4 bytes");
    x = memory.allocate(N * Float.BYTES);
  }

  @Test
  void tooMuchSharedMemoryIsTold() {
    assertThatThrownBy(() -> operands(kernel("right").shared(50_000)).run())
        .hasMessageContainingAll("50000 bytes of shared memory", "49152");
  }

  @Test
  void tooManyThreadsAreTold() {
    assertThatThrownBy(() -> operands(kernel("right").shared(4096).threads(256)).run())
        .hasMessageContainingAll("256 threads", "registers", "128");
    assertThatThrownBy(() -> operands(kernel("right").shared(4096).threads(2048)).run())
        .hasMessageContaining("outside of the device's limits");
  }

  @Test
  void copiesAreChecked() {
    float[] values = new float[N + 1];
    assertThatThrownBy(
            () ->
                check(
                    cuMemcpyDtoH(Pointer.to(values), CudaMemory.pointer(x), (N + 1) * Float.BYTES),
                    "download"))
        .hasMessageContaining("out-of-bounds read");
    assertThatThrownBy(
            () ->
                check(
                    cuMemcpyDtoH(Pointer.to(values), CudaMemory.pointer(y), N * Float.BYTES),
                    "download"))
        .hasMessageContaining("uninitialised read of 512 bytes");
  }
}
