package dev.longalign.tensor.cuda;

import static dev.longalign.tensor.cuda.CudaDriver.check;
import static jcuda.driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_GLOBAL;
import static jcuda.driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED;
import static jcuda.driver.JCudaDriver.*;
import static org.assertj.core.api.Assertions.assertThat;

import jcuda.Pointer;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUevent;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUresult;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;

/** The emulator captures as a driver does, and refuses what a driver refuses. */
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class CaptureTest {
  private CudaDevice device;
  private final CUdeviceptr x = new CUdeviceptr();
  private final CUdeviceptr y = new CUdeviceptr();
  private final CUgraph graph = new CUgraph();

  @BeforeEach
  void open() {
    Emulator.require();
    device = new CudaDevice(0);
    check(cuMemAlloc(x, 4), "x");
    check(cuMemAlloc(y, 4), "y");
  }

  @AfterEach
  void close() {
    if (device != null) {
      cuMemFree(x);
      cuMemFree(y);
      device.close();
    }
  }

  private void begin(int mode) {
    check(cuStreamBeginCapture(device.stream(), mode), "begin");
  }

  private int end() {
    return cuStreamEndCapture(device.stream(), graph);
  }

  private void set(int value) {
    check(cuMemcpyHtoD(x, Pointer.to(new int[] {value}), 4), "set");
  }

  private int get() {
    int[] value = new int[1];
    check(cuMemcpyDtoH(Pointer.to(value), y, 4), "get");
    return value[0];
  }

  @Test
  void workIsDoneAtEveryLaunchAndNotBefore() {
    check(cuMemsetD8(y, (byte) 0, 4), "clear");
    set(1);
    begin(CU_STREAM_CAPTURE_MODE_RELAXED);
    check(cuMemcpyDtoDAsync(y, x, 4, device.stream()), "copy");
    assertThat(end()).isZero();
    CUgraphExec executable = new CUgraphExec();
    check(cuGraphInstantiate(executable, graph, 0), "instantiate");
    check(cuGraphDestroy(graph), "destroy");
    assertThat(get()).isZero();
    for (int value = 5; value < 8; value++) {
      set(value);
      check(cuGraphLaunch(executable, device.stream()), "launch");
      assertThat(get()).isEqualTo(value);
    }
    check(cuGraphExecDestroy(executable), "destroy");
    assertThat(cuGraphLaunch(executable, device.stream()))
        .isEqualTo(CUresult.CUDA_ERROR_INVALID_HANDLE);
  }

  @Test
  void waitingEndsTheCapture() {
    begin(CU_STREAM_CAPTURE_MODE_RELAXED);
    assertThat(cuStreamSynchronize(device.stream()))
        .isEqualTo(CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    assertThat(cuMemsetD8Async(x, (byte) 0, 4, device.stream()))
        .isEqualTo(CUresult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    assertThat(end()).isEqualTo(CUresult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    assertThat(cuStreamSynchronize(device.stream())).as("it is over").isZero();
  }

  @Test
  void allocatingIsForRelaxedCaptures() {
    CUdeviceptr z = new CUdeviceptr();
    begin(CU_STREAM_CAPTURE_MODE_RELAXED);
    assertThat(cuMemAlloc(z, 4)).isZero();
    assertThat(cuMemFree(z)).isZero();
    assertThat(end()).isZero();
    cuGraphDestroy(graph);
    begin(CU_STREAM_CAPTURE_MODE_GLOBAL);
    assertThat(cuMemAlloc(z, 4)).isEqualTo(CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    assertThat(end()).isEqualTo(CUresult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  }

  @Test
  void eventsOfACaptureHaveNoTime() {
    CUevent event = new CUevent();
    check(cuEventCreate(event, 0), "event");
    begin(CU_STREAM_CAPTURE_MODE_RELAXED);
    check(cuEventRecord(event, device.stream()), "record");
    assertThat(end()).isZero();
    cuGraphDestroy(graph);
    assertThat(cuEventElapsedTime(new float[1], event, event))
        .isEqualTo(CUresult.CUDA_ERROR_CAPTURED_EVENT);
    cuEventDestroy(event);
  }

  @Test
  void capturesDoNotNest() {
    begin(CU_STREAM_CAPTURE_MODE_RELAXED);
    assertThat(cuStreamBeginCapture(device.stream(), CU_STREAM_CAPTURE_MODE_RELAXED))
        .isEqualTo(CUresult.CUDA_ERROR_ILLEGAL_STATE);
    assertThat(end()).isZero();
    cuGraphDestroy(graph);
    assertThat(end()).isEqualTo(CUresult.CUDA_ERROR_ILLEGAL_STATE);
  }
}
