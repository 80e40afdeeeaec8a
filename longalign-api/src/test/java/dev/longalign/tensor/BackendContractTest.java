package dev.longalign.tensor;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;

/**
 * What every {@link Backend} promises, checked against {@link ReferenceBackend} on seeded inputs,
 * in every type that the backend supports (the others are reported as skipped). A backend's module
 * subclasses it:
 *
 * <pre>{@code
 * class CpuBackendContractTest extends BackendContractTest {
 *   @Override
 *   protected Backend open() {
 *     return Device.cpu().open(0);
 *   }
 * }
 * }</pre>
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class BackendContractTest
    implements ProductContract,
        AttentionContract,
        PointwiseContract,
        ShapeContract,
        GradientContract,
        TrainingContract,
        SegmentConcatContract,
        PreferenceContract,
        NanContract,
        RepeatContract,
        ScopeContract {
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
