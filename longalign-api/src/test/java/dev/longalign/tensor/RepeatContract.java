package dev.longalign.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** A repeated function gives what the function itself gives, bit for bit. */
interface RepeatContract extends Contract {
  @Test
  default void repeatedFunctionsFollowTheirOperands() {
    long before = backend().memory().live();
    try (TensorScope scope = TensorScope.open()) {
      Inputs in = new Inputs(backend(), DType.F32, true, 7);
      LinearWeight weight = in.linear(8, 8, true);
      TensorFunction body =
          x -> x[0].linear(weight, Epilogue.residual(x[1])).activation(Activation.SILU);
      TensorFunction repeated = backend().repeated(body);
      List<Tensor> results = new ArrayList<>();
      List<Tensor> expected = new ArrayList<>();
      for (int rows : new int[] {3, 3, 4, 3, 4, 4, 3}) {
        Tensor x = in.normal(rows, 8);
        Tensor residual = in.normal(rows, 8);
        try (TensorScope call = TensorScope.open()) {
          results.add(call.keep(repeated.apply(x, residual)));
          expected.add(call.keep(body.apply(x, residual)));
        }
      }
      for (int call = 0; call < results.size(); call++) {
        assertThat(results.get(call).toFloats())
            .as("call %d", call)
            .isEqualTo(expected.get(call).toFloats());
      }
    }
    assertThat(backend().memory().live()).isEqualTo(before);
  }
}
