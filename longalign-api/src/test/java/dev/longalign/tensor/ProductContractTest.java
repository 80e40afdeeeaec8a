package dev.longalign.tensor;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;

/** The part of {@link BackendContractTest} that matrix products decide. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class ProductContractTest implements ProductContract, AttentionContract {
  private Backend backend;

  /** Opens the backend under test; called once. */
  protected abstract Backend open();

  @Override
  public final Backend backend() {
    return backend;
  }

  @BeforeAll
  final void openBackend() {
    backend = open();
  }

  @AfterAll
  final void closeBackend() {
    if (backend != null) {
      backend.close();
    }
  }
}
