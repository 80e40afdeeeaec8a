package dev.longalign.tensor;

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
public abstract class BackendContractTest extends ProductContractTest
    implements PointwiseContract,
        ShapeContract,
        GradientContract,
        TrainingContract,
        SegmentConcatContract,
        PreferenceContract,
        NanContract,
        RepeatContract,
        ScopeContract {}
