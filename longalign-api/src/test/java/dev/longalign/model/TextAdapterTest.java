package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** The adapter against the second half of the reference's context. */
class TextAdapterTest {
  private static final Golden ENCODE = Golden.open("encode/encode");

  @Test
  void makesTheSecondHalfOfTheContext() {
    try (Backend backend = TestModels.backend()) {
      try (TextAdapter adapter = load(backend);
          TensorScope scope = TensorScope.open()) {
        Tensor out = adapter.forward(ENCODE.tensor(backend, "t5_hidden"));
        Shape whole = ENCODE.shape("final");
        int length = ENCODE.shape("t5_hidden").intDim(1);
        int first = whole.intDim(1) - length;
        int width = whole.intDim(2);
        float[] context = ENCODE.floats("final");
        float[] expected = new float[whole.intDim(0) * length * width];
        for (int b = 0; b < whole.intDim(0); b++) {
          System.arraycopy(
              context,
              (b * whole.intDim(1) + first) * width,
              expected,
              b * length * width,
              length * width);
        }
        Tolerance.F32.check("final[:, 240:]", whole.with(1, length), expected, out);
        assertThatThrownBy(() -> adapter.forward(out))
            .isInstanceOf(LongAlignException.class)
            .hasMessageContaining(
                "expected [B, L, 48], found " + Arrays.toString(out.shape().toArray()));
      }
      assertThat(backend.memory().live()).isZero();
    }
  }

  private static TextAdapter load(Backend backend) {
    return TextAdapter.load(
        TextAdapterConfig.of(TestModels.config("s28750_adapter")),
        TestModels.weights("s28750_adapter"),
        backend,
        DType.F32);
  }
}
