package dev.longalign.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.longalign.LongAlign;
import dev.longalign.LongAlignException;
import dev.longalign.ProgressListener;
import dev.longalign.SampleCall;
import dev.longalign.SampleRequest;
import dev.longalign.SampleResult;
import dev.longalign.SampleStep;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** Who frees what, when calls end well, fail, are cancelled, or lose their engine. */
@Timeout(value = 5, unit = TimeUnit.MINUTES)
final class LifetimeTest {

  @Test
  void closingFreesAllMemory() {
    LongAlign longAlign = LongAlign.builder().build();
    longAlign.sample(Engines.quick(0, 2).images(3).batchSize(2).build());
    longAlign.sample(Engines.quick(1, 2).size(64, 104).build());
    assertThat(longAlign.memory().live()).isPositive();
    longAlign.close();
    assertFreed(longAlign);
    longAlign.close();
    assertThatThrownBy(() -> longAlign.sample("A picture."))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("closed");
  }

  @Test
  void aCallLeavesNothingBehind() {
    try (LongAlign longAlign = LongAlign.builder().build()) {
      longAlign.sample(Engines.quick(0, 1).build());
      long live = longAlign.memory().live();
      longAlign.sample(Engines.quick(1, 3).images(2).build());
      assertThat(longAlign.memory().live()).isEqualTo(live);
    }
  }

  @Test
  void cancellingBetweenStepsFreesEverything() {
    try (LongAlign longAlign = LongAlign.builder().build()) {
      longAlign.sample(Engines.quick(0, 1).build());
      long live = longAlign.memory().live();
      List<Integer> steps = new ArrayList<>();
      SampleCall[] call = new SampleCall[1];
      call[0] =
          longAlign.newCall(
              Engines.quick(0, 20).build(),
              onStep(
                  step -> {
                    steps.add(step.number());
                    if (step.number() == 3) {
                      call[0].cancel();
                    }
                  }));
      assertThatThrownBy(call[0]::execute).isInstanceOf(CancellationException.class);
      assertThat(steps).containsExactly(1, 2, 3);
      assertThat(longAlign.memory().live()).isEqualTo(live);
      longAlign.sample(Engines.quick(0, 1).build());
    }
  }

  @Test
  void cancellingTheFutureEndsTheCall() throws Exception {
    try (LongAlign longAlign = LongAlign.builder().build()) {
      CountDownLatch begun = new CountDownLatch(1);
      CountDownLatch ended = new CountDownLatch(1);
      AtomicReference<Throwable> failure = new AtomicReference<>();
      ProgressListener listener =
          new ProgressListener() {
            @Override
            public void onStep(SampleStep step) {
              begun.countDown();
            }

            @Override
            public void onFailure(Throwable e) {
              failure.set(e);
              ended.countDown();
            }
          };
      SampleCall call = longAlign.newCall(Engines.quick(0, 400).build(), listener);
      CompletableFuture<SampleResult> future = call.toFuture();
      assertThat(begun.await(2, TimeUnit.MINUTES)).isTrue();
      assertThat(future.cancel(true)).isTrue();
      assertThat(ended.await(2, TimeUnit.MINUTES)).isTrue();
      assertThat(failure.get()).isInstanceOf(CancellationException.class);
      assertThat(call.isCancelled()).isTrue();
      SampleResult next = longAlign.newCall(Engines.quick(0, 1).build()).toFuture().get();
      assertThat(next.images()).hasSize(1);
    }
  }

  @Test
  void everyStartHasOneEndAndStepsCountThroughAllBatches() {
    try (LongAlign longAlign = LongAlign.builder().build()) {
      Events events = new Events();
      longAlign.newCall(Engines.quick(0, 2).images(3).batchSize(2).build(), events).execute();
      assertThat(events.heard)
          .containsExactly(
              "start", "1/4 [42, 43]", "2/4 [42, 43]", "3/4 [44]", "4/4 [44]", "end 3");
      Events failing = new Events();
      SampleRequest tooLong =
          Engines.quick(0, 2).prompt("red circle ".repeat(400)).strict(true).build();
      assertThatThrownBy(() -> longAlign.newCall(tooLong, failing).execute())
          .isInstanceOf(LongAlignException.class);
      assertThat(failing.heard).containsExactly("start", "failure LongAlignException");
    }
  }

  @Test
  void previewsBecomeThePicture() {
    try (LongAlign longAlign = LongAlign.builder().build()) {
      List<BufferedImage> previews = new ArrayList<>();
      SampleResult result =
          longAlign
              .newCall(
                  Engines.quick(0, 12).images(2).build(),
                  onStep(
                      step -> {
                        assertThat(step.previews().get()).hasSize(2);
                        previews.add(step.preview());
                      }))
              .execute();
      assertThat(previews).hasSize(12);
      double first = Images.meanDifference(previews.get(0), result.image());
      double last = Images.meanDifference(previews.get(11), result.image());
      assertThat(last).isLessThan(first / 4).isLessThan(4);
      // Watching does not change what is seen.
      SampleResult unwatched = longAlign.sample(Engines.quick(0, 12).images(2).build());
      assertThat(Images.same(result.image(), unwatched.image())).isTrue();
    }
  }

  @Test
  void closingEndsTheCallsUnderWay() throws Exception {
    LongAlign longAlign = LongAlign.builder().build();
    CountDownLatch begun = new CountDownLatch(6); // a few steps, of whichever call
    List<CompletableFuture<SampleResult>> futures = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      SampleRequest request = Engines.quick(i, 400).build();
      futures.add(longAlign.newCall(request, onStep(step -> begun.countDown())).toFuture());
    }
    assertThat(begun.await(2, TimeUnit.MINUTES)).isTrue();
    longAlign.close();
    for (CompletableFuture<SampleResult> future : futures) {
      assertThatThrownBy(future::get)
          .isInstanceOf(ExecutionException.class)
          .cause()
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("this LongAlign was closed");
    }
    assertFreed(longAlign);
  }

  @Test
  void aListenerMayCloseTheEngine() {
    LongAlign longAlign = LongAlign.builder().build();
    SampleCall call =
        longAlign.newCall(Engines.quick(0, 20).build(), onStep(step -> longAlign.close()));
    assertThatThrownBy(call::execute)
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("closed");
    assertFreed(longAlign);
  }

  @Test
  void callsMadeBeforeClosingFailAfterIt() {
    LongAlign longAlign = LongAlign.builder().build();
    SampleCall here = longAlign.newCall(Engines.quick(0, 2).build());
    Events events = new Events();
    SampleCall elsewhere = longAlign.newCall(Engines.quick(0, 2).build(), events);
    longAlign.close();
    assertThatThrownBy(here::execute)
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("closed");
    assertThat(catchThrowable(() -> elsewhere.toFuture().get()))
        .isInstanceOf(ExecutionException.class)
        .cause()
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("closed");
    assertThat(events.heard).containsExactly("start", "failure LongAlignException");
  }

  @Test
  void anInterruptedThreadEndsItsCall() {
    try (LongAlign longAlign = LongAlign.builder().build()) {
      SampleCall call =
          longAlign.newCall(
              Engines.quick(0, 20).build(), onStep(step -> Thread.currentThread().interrupt()));
      assertThatThrownBy(call::execute)
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("interrupted");
      assertThat(Thread.interrupted()).isTrue();
      longAlign.sample(Engines.quick(0, 1).build());
    }
  }

  @Test
  void encodersThatAreNotKeptGiveTheSamePicture() {
    try (LongAlign keeping = LongAlign.builder().build();
        LongAlign releasing = LongAlign.builder().keepEncoders(false).build()) {
      for (int prompt = 0; prompt < 2; prompt++) {
        SampleRequest request = Engines.quick(prompt, 3).build();
        BufferedImage kept = keeping.sample(request).image();
        assertThat(Images.same(releasing.sample(request).image(), kept)).isTrue();
        keeping.releaseEncoders();
      }
    }
  }

  /** Every sample has a prompt of its own, so that the encoders are at work too. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void twoHundredSamplesDoNotGrowTheProcess() throws IOException {
    try (LongAlign longAlign = LongAlign.builder().build()) {
      for (int i = 0; i < 70; i++) { // more prompts than the engine remembers
        sampleOnce(longAlign, i);
      }
      long live = longAlign.memory().live();
      long before = nativeBytes();
      for (int i = 0; i < 200; i++) {
        sampleOnce(longAlign, 1000 + i);
        assertThat(longAlign.memory().live()).isEqualTo(live);
      }
      assertThat(nativeBytes() - before).isLessThan(48L << 20);
    }
  }

  private static void sampleOnce(LongAlign longAlign, int i) {
    SampleRequest request =
        Engines.quick(i % 3, 1)
            .prompt(Engines.PROMPTS.get(i % 3) + " There are " + i + ".")
            .build();
    longAlign.sample(request);
  }

  /** What the process holds in memory beyond what the JVM has for itself. */
  private static long nativeBytes() throws IOException {
    MemoryMXBean jvm = ManagementFactory.getMemoryMXBean();
    jvm.gc();
    long resident =
        Files.readAllLines(Path.of("/proc/self/status")).stream()
            .filter(line -> line.startsWith("VmRSS:"))
            .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10)
            .findFirst()
            .orElseThrow();
    return resident
        - jvm.getHeapMemoryUsage().getCommitted()
        - jvm.getNonHeapMemoryUsage().getCommitted();
  }

  private static void assertFreed(LongAlign longAlign) {
    assertThat(longAlign.memory().live()).isZero();
    assertThat(longAlign.memory().cached()).isZero();
  }

  private static ProgressListener onStep(Consumer<SampleStep> action) {
    return new ProgressListener() {
      @Override
      public void onStep(SampleStep step) {
        action.accept(step);
      }
    };
  }

  /** Writes down what it hears. */
  private static final class Events implements ProgressListener {
    final List<String> heard = new ArrayList<>();

    @Override
    public void onStart(SampleRequest request) {
      heard.add("start");
    }

    @Override
    public void onStep(SampleStep step) {
      heard.add(step.number() + "/" + step.of() + " " + step.seeds());
    }

    @Override
    public void onEnd(SampleResult result) {
      heard.add("end " + result.images().size());
    }

    @Override
    public void onFailure(Throwable failure) {
      heard.add("failure " + failure.getClass().getSimpleName());
    }
  }
}
