package dev.longalign.tensor;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** The concatenation of encoded segments: 1 is the eos, 0 the pad, everything else is kept. */
interface SegmentConcatContract extends Contract {

  @TestFactory
  default Stream<DynamicTest> segmentConcat() {
    int[][] segments = {
      {9, 4, 1, 0, 0}, {9, 5, 6, 7, 1}, {9, 1, 0, 0, 0}, {9, 0, 8, 1, 3}, {1, 0, 1, 0, 1}
    };
    int[][] full = {{9, 4, 4}, {9, 5, 6}};
    return Stream.of(
            segmentConcat("several captions", segments, 8, 2, 2, 1),
            segmentConcat("one caption", segments, 20, 5),
            segmentConcat("exactly the token length", segments, 6, 2, 3),
            segmentConcat("one token too many", segments, 5, 2, 3),
            segmentConcat("cut inside the first segment", segments, 1, 5),
            segmentConcat("captions without segments", segments, 7, 0, 5, 0),
            segmentConcat("no captions", new int[0][], 7),
            segmentConcat("only captions without segments", new int[0][], 7, 0, 0),
            segmentConcat("nothing to drop", full, 6, 2),
            segmentConcat("nothing to keep", new int[][] {{1, 0, 0}}, 4, 1))
        .flatMap(s -> s);
  }

  private Stream<DynamicTest> segmentConcat(
      String name, int[][] ids, int tokenLength, int... segmentsPerCaption) {
    return agreeExactly(
        "segmentConcat, " + name,
        in -> {
          int length = ids.length == 0 ? 5 : ids[0].length;
          Tensor hidden = in.normal(ids.length, length, 13);
          return hidden.segmentConcat(ids, segmentsPerCaption, 1, 0, in.normal(13), tokenLength);
        });
  }

  /** As with CLIP, where one id is both. */
  @TestFactory
  default Stream<DynamicTest> segmentConcatOf64Captions() {
    return agreeExactly(
        "segmentConcat, 64 captions, pad == eos",
        in -> {
          int[] perCaption = new int[64];
          int segments = 0;
          for (int i = 0; i < perCaption.length; i++) {
            perCaption[i] = i % 7;
            segments += i % 7;
          }
          int[][] ids = new int[segments][77];
          for (int[] row : ids) {
            int tokens = 1 + in.random().nextInt(76);
            for (int t = 0; t < 77; t++) {
              row[t] = t <= tokens ? 100 + t : 49407;
            }
          }
          return in.normal(segments, 77, 24)
              .segmentConcat(ids, perCaption, 49407, 49407, in.normal(24), 240);
        });
  }

  @Test
  default void segmentsThatDoNotFitAreRefused() {
    try (TensorScope scope = TensorScope.open()) {
      Inputs in = new Inputs(backend(), DType.F32, false, 1);
      Tensor hidden = in.normal(2, 3, 4);
      Tensor pad = in.normal(4);
      int[][] ids = {{9, 4, 1}, {9, 1, 0}};
      int[][] ragged = {{9, 4, 1}, {9, 1}};
      assertThatThrownBy(() -> hidden.segmentConcat(new int[3][3], new int[] {3}, 1, 0, pad, 6))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("3 rows of ids");
      assertThatThrownBy(() -> hidden.segmentConcat(ragged, new int[] {2}, 1, 0, pad, 6))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("2 ids in a row");
      assertThatThrownBy(() -> hidden.segmentConcat(ids, new int[] {1, 2}, 1, 0, pad, 6))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContainingAll("3 segments", "2 are encoded");
      assertThatThrownBy(() -> hidden.segmentConcat(ids, new int[] {2}, 1, 0, in.normal(3), 6))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("pad embedding F32 [3]");
      assertThatThrownBy(() -> hidden.segmentConcat(ids, new int[] {2}, 1, 0, pad, 0))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("token length 0");
    }
  }
}
