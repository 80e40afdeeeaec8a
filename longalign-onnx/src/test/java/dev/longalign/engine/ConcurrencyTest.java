package dev.longalign.engine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.LongAlign;
import dev.longalign.SampleRequest;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** One engine, many threads. */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
final class ConcurrencyTest {
  private static final int THREADS = 8;

  @Test
  void eightThreadsGetThePicturesThatOneGets() throws Exception {
    List<SampleRequest> requests = new ArrayList<>();
    for (int i = 0; i < THREADS; i++) {
      // Different prompts, seeds, sizes and numbers of pictures, so that a mix-up would show.
      requests.add(
          Engines.quick(i % 3, 4 + i % 2)
              .seed(100 + i)
              .images(1 + i % 2)
              .size(96, i % 4 == 3 ? 64 : 96)
              .build());
    }
    try (LongAlign longAlign = LongAlign.builder().build()) {
      List<List<BufferedImage>> oneByOne =
          requests.stream().map(request -> longAlign.sample(request).images()).toList();
      long live = longAlign.memory().live();
      for (int round = 0; round < 2; round++) {
        List<List<BufferedImage>> atOnce = atOnce(longAlign, requests);
        for (int i = 0; i < THREADS; i++) {
          assertThat(atOnce.get(i)).hasSameSizeAs(oneByOne.get(i));
          for (int k = 0; k < atOnce.get(i).size(); k++) {
            assertThat(Images.same(atOnce.get(i).get(k), oneByOne.get(i).get(k)))
                .as("picture %d of request %d", k, i)
                .isTrue();
          }
        }
      }
      assertThat(longAlign.memory().live()).isEqualTo(live);
    }
  }

  @Test
  void enginesSideBySideDoNotDisturbEachOther() throws Exception {
    SampleRequest request = Engines.quick(1, 4).build();
    try (LongAlign one = LongAlign.builder().threads(1).build();
        LongAlign other = LongAlign.builder().build()) {
      BufferedImage alone = one.sample(request).image();
      ExecutorService pool = Executors.newFixedThreadPool(2);
      try {
        Future<BufferedImage> a = pool.submit(() -> one.sample(request).image());
        Future<BufferedImage> b = pool.submit(() -> other.sample(request).image());
        assertThat(Images.same(a.get(), alone)).isTrue();
        assertThat(Images.largestDifference(b.get(), alone)).isLessThanOrEqualTo(1);
      } finally {
        pool.shutdown();
      }
    }
  }

  private static List<List<BufferedImage>> atOnce(LongAlign longAlign, List<SampleRequest> requests)
      throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(requests.size());
    CountDownLatch ready = new CountDownLatch(requests.size());
    try {
      List<Callable<List<BufferedImage>>> work = new ArrayList<>();
      for (SampleRequest request : requests) {
        work.add(
            () -> {
              ready.countDown();
              ready.await();
              return longAlign.sample(request).images();
            });
      }
      List<List<BufferedImage>> pictures = new ArrayList<>();
      for (Future<List<BufferedImage>> future : pool.invokeAll(work)) {
        pictures.add(future.get());
      }
      return pictures;
    } finally {
      pool.shutdown();
    }
  }
}
