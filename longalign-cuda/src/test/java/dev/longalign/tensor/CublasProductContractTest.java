package dev.longalign.tensor;

import dev.longalign.tensor.cuda.Emulator;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.condition.EnabledIf;

/** The products of the contract on (the emulated) cuBLAS. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@EnabledIf(value = Emulator.IS_BUILT, disabledReason = Emulator.MISSING)
class CublasProductContractTest implements ProductContract {
  private static final String PROPERTY = "longalign.cuda.cublas";

  private Backend backend;

  @Override
  public Backend backend() {
    return backend;
  }

  @BeforeAll
  void open() {
    Emulator.require();
    System.setProperty(PROPERTY, "on");
    try {
      backend = Device.cuda(0).open(0);
    } finally {
      System.clearProperty(PROPERTY);
    }
  }

  @AfterAll
  void close() {
    backend.close();
  }
}
