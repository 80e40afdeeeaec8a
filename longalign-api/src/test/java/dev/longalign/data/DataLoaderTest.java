package dev.longalign.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

final class DataLoaderTest {
  private static final Set<Long> BAD = Set.of(3L, 4L, 17L, 40L);

  @Test
  void theSequenceDoesNotDependOnThreadsOrPrefetch() {
    List<Batch<Long>> reference = null;
    for (int threads : new int[] {0, 1, 3, 8}) {
      for (int prefetch : new int[] {1, 7, 100}) {
        List<Skip> skips = new ArrayList<>();
        try (DataLoader<Long> loader =
            DataLoader.builder(Fixtures.numbers(41, BAD))
                .batchSize(6)
                .seed(9)
                .threads(threads)
                .prefetch(prefetch)
                .listener(skips::add)
                .build()) {
          List<Batch<Long>> batches = Fixtures.take(loader, 14);
          reference = reference == null ? batches : reference;
          assertThat(batches).as("%s threads", threads).isEqualTo(reference);
          assertThat(skips).extracting(Skip::index).containsExactlyInAnyOrderElementsOf(BAD);
          assertThat(loader.skipped().skipped()).isEqualTo(skips.size());
        }
      }
    }
  }

  @Test
  void everyEpochHasEveryUsableExampleOnceInAnotherOrder() {
    try (DataLoader<Long> loader =
        DataLoader.builder(Fixtures.numbers(41, BAD))
            .batchSize(5)
            .dropLast(false)
            .epochs(2)
            .threads(2)
            .build()) {
      List<Batch<Long>> batches = Fixtures.take(loader, 1000);
      assertThat(loader.hasNext()).isFalse();
      assertThat(batches).hasSize(2 * 8); // 37 usable: seven fives and a two
      assertThat(batches.get(7).size()).isEqualTo(2);
      List<Long> first = numbers(batches.subList(0, 8));
      List<Long> second = numbers(batches.subList(8, 16));
      Long[] usable =
          LongStream.range(0, 41).filter(i -> !BAD.contains(i)).boxed().toArray(Long[]::new);
      assertThat(first).containsExactlyInAnyOrder(usable).isNotEqualTo(second);
      assertThat(second).containsExactlyInAnyOrder(usable);
      assertThat(batches.get(8).epoch()).isEqualTo(1);
      SkipReport report = loader.skipped();
      assertThat(report.skipped()).as("each once").isEqualTo(4);
      assertThat(report.loaded()).isEqualTo(74);
      assertThat(report.named())
          .extracting(Skip::reason)
          .containsExactlyInAnyOrder(
              "number 3 is bad", "number 4 is bad", "number 17 is bad", "number 40 is bad");
      assertThat(report.toString()).contains("74 examples loaded, 4 skipped", "number 17 is bad");
    }
  }

  @Test
  void leftoversAreDropped() {
    try (DataLoader<Long> loader =
        DataLoader.builder(Fixtures.numbers(10, Set.of())).batchSize(4).epochs(1).build()) {
      assertThat(Fixtures.take(loader, 10)).hasSize(2);
      assertThatThrownBy(loader::next).isInstanceOf(java.util.NoSuchElementException.class);
    }
  }

  @Test
  void resumingAnywhereGivesTheSameBatches() {
    for (boolean dropLast : new boolean[] {true, false}) {
      DataLoader.Builder<Long> settings =
          DataLoader.builder(Fixtures.numbers(23, Set.of(1L, 22L)))
              .batchSize(4)
              .seed(-5)
              .dropLast(dropLast);
      List<Batch<Long>> all;
      try (DataLoader<Long> loader = settings.threads(3).build()) {
        all = Fixtures.take(loader, 20);
      }
      for (int at = 0; at < 15; at++) {
        DataPosition saved = DataPosition.parse(all.get(at).next().toJson());
        assertThat(saved).isEqualTo(all.get(at).next());
        try (DataLoader<Long> loader =
            DataLoader.builder(Fixtures.numbers(23, Set.of(1L, 22L)))
                .batchSize(4)
                .seed(-5)
                .dropLast(dropLast)
                .threads(at % 3)
                .position(saved)
                .build()) {
          assertThat(loader.position()).isEqualTo(saved);
          assertThat(Fixtures.take(loader, 4)).isEqualTo(all.subList(at + 1, at + 5));
          assertThat(loader.position()).isEqualTo(all.get(at + 4).next());
        }
      }
    }
  }

  @Test
  void lookingAheadDoesNotMoveThePosition() {
    try (DataLoader<Long> loader = DataLoader.builder(Fixtures.numbers(8, Set.of())).build()) {
      DataPosition start = loader.position();
      assertThat(loader.hasNext()).isTrue();
      assertThat(loader.position()).isEqualTo(start);
    }
  }

  @Test
  void positionsOfAnotherOrderAreRefused() {
    DataPosition position;
    try (DataLoader<Long> loader =
        DataLoader.builder(Fixtures.numbers(8, Set.of())).seed(1).build()) {
      position = loader.next().next();
    }
    assertThatThrownBy(
            () ->
                DataLoader.builder(Fixtures.numbers(8, Set.of()))
                    .seed(2)
                    .position(position)
                    .build())
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("expected '8 examples, shuffled by seed 2'")
        .hasMessageContaining("found '8 examples, shuffled by seed 1'");
    assertThatThrownBy(
            () ->
                DataLoader.builder(Fixtures.numbers(9, Set.of()))
                    .seed(1)
                    .position(position)
                    .build())
        .hasMessageContaining("same dataset and seed");
    assertThatThrownBy(() -> DataPosition.parse("{\"epoch\": 1}")).hasMessageContaining("'index'");
    assertThatThrownBy(() -> DataPosition.parse("{\"epoch\":-1,\"index\":0,\"order\":\"\"}"))
        .hasMessageContaining("at least 0");
  }

  @Test
  void anEndlessDatasetIsTakenInItsOrder() {
    try (DataLoader<Long> loader =
        DataLoader.builder(Fixtures.numbers(-1, Set.of(2L))).batchSize(3).threads(2).build()) {
      assertThat(loader.next().examples()).containsExactly(0L, 1L, 3L);
      assertThat(loader.next().examples()).containsExactly(4L, 5L, 6L);
      assertThat(loader.position().index()).isEqualTo(7);
    }
  }

  @Test
  void nothingButBadExamplesIsAnErrorAndNoEndlessLoop() {
    try (DataLoader<Long> loader =
        DataLoader.builder(Fixtures.numbers(3, Set.of(0L, 1L, 2L))).build()) {
      assertThatThrownBy(loader::next)
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("no batch of 1 in a whole epoch of 3 examples")
          .hasMessageContaining("is bad");
    }
    try (DataLoader<Long> loader =
        DataLoader.builder(Fixtures.numbers(3, Set.of())).batchSize(4).build()) {
      assertThatThrownBy(loader::next).hasMessageContaining("use a smaller batch");
    }
    try (DataLoader<Long> loader =
        DataLoader.builder(
                Fixtures.numbers(
                    100,
                    LongStream.range(0, 90).boxed().collect(java.util.stream.Collectors.toSet())))
            .shuffle(false)
            .maxSkipsInARow(50)
            .build()) {
      assertThatThrownBy(loader::next)
          .hasMessageContaining("50 examples in a row cannot be used; the last: number 49 is bad");
    }
    assertThatThrownBy(() -> DataLoader.builder(Fixtures.numbers(0, Set.of())).build())
        .hasMessage("numbers has no examples");
  }

  /** A programming error is not a bad example. */
  @Test
  void otherFailuresStopTheLoader() {
    Dataset<Long> broken =
        Fixtures.numbers(5, Set.of())
            .map(
                number -> {
                  throw new IllegalStateException("a bug");
                });
    for (int threads : new int[] {0, 2}) {
      try (DataLoader<Long> loader = DataLoader.builder(broken).threads(threads).build()) {
        assertThatThrownBy(loader::next)
            .isInstanceOf(LongAlignException.class)
            .hasMessageContaining("a bug")
            .hasCauseInstanceOf(IllegalStateException.class);
      }
    }
  }

  @Test
  void anInterruptLosesNothing() {
    try (DataLoader<Long> loader =
        DataLoader.builder(Fixtures.numbers(64, Set.of()))
            .shuffle(false)
            .batchSize(8)
            .threads(1)
            .build()) {
      Thread.currentThread().interrupt();
      try {
        loader.next();
      } catch (LongAlignException interrupted) {
        assertThat(interrupted).hasMessageContaining("interrupted");
      }
      boolean wasInterrupted = Thread.interrupted();
      DataPosition position = loader.position();
      assertThat(wasInterrupted).isTrue();
      assertThat(loader.next().examples().get(0)).isEqualTo(position.index());
    }
  }

  @Test
  void closingEndsTheThreads() throws InterruptedException {
    DataLoader<Long> loader = DataLoader.builder(Fixtures.numbers(64, Set.of())).threads(3).build();
    loader.next();
    long before = dataThreads();
    loader.close();
    loader.close();
    assertThat(before).isGreaterThanOrEqualTo(3);
    assertThat(dataThreads()).isLessThan(before);
    assertThatThrownBy(loader::next).hasMessageContaining("is closed");
  }

  private static long dataThreads() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().startsWith("data-"))
        .count();
  }

  private static List<Long> numbers(List<Batch<Long>> batches) {
    return batches.stream().flatMap(batch -> batch.examples().stream()).toList();
  }
}
