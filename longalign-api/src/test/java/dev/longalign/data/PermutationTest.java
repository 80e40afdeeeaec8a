package dev.longalign.data;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.BitSet;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

final class PermutationTest {
  @Test
  void everyIndexComesOnce() {
    for (int size : new int[] {1, 2, 3, 4, 5, 15, 16, 17, 64, 100, 1023, 1024, 1025, 40_000}) {
      Permutation permutation = new Permutation(size, 42, 3);
      BitSet seen = new BitSet();
      for (int i = 0; i < size; i++) {
        seen.set((int) permutation.at(i));
      }
      assertThat(seen.cardinality()).as("of %s", size).isEqualTo(size);
      assertThat(seen.length()).isEqualTo(size);
    }
  }

  @Test
  void largeSizesStayInside() {
    Permutation permutation = new Permutation(3_000_000_001L, 1, 0);
    assertThat(LongStream.range(0, 1000).map(permutation::at).distinct().count()).isEqualTo(1000);
    assertThat(LongStream.range(0, 1000).map(permutation::at).max().getAsLong())
        .isBetween(2_900_000_000L, 3_000_000_000L);
  }

  /** Positions are saved and resumed by later versions: this sequence may never change. */
  @Test
  void theOrderIsFrozen() {
    assertThat(order(10, 42, 0)).containsExactly(5, 6, 9, 3, 2, 7, 1, 4, 8, 0);
    assertThat(order(10, 42, 1)).containsExactly(3, 4, 7, 9, 8, 2, 0, 1, 5, 6);
    assertThat(new SplitMix64(1, 2).nextLong()).isEqualTo(-3985911075339776733L);
  }

  /** Where an index goes is uniform: chi-squared over 10 places, 20,000 seeds, 9 degrees. */
  @Test
  void placesAreUniform() {
    for (int index : new int[] {0, 4, 9}) {
      int[] counts = new int[10];
      for (int seed = 0; seed < 20_000; seed++) {
        counts[(int) new Permutation(10, seed, 0).at(index)]++;
      }
      double chi = 0;
      for (int count : counts) {
        chi += Math.pow(count - 2000, 2) / 2000;
      }
      assertThat(chi).as("index %s", index).isLessThan(27.9); // exceeded by chance in 0.1 %
    }
  }

  private static long[] order(int size, long seed, long epoch) {
    Permutation permutation = new Permutation(size, seed, epoch);
    return LongStream.range(0, size).map(permutation::at).toArray();
  }
}
