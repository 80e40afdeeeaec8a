package dev.longalign.tensor;

/** The control itself: agreement of views with plain operands, scopes, threads and refusals. */
class ReferenceBackendContractTest extends BackendContractTest {
  @Override
  protected Backend open() {
    return new ReferenceBackend();
  }
}
