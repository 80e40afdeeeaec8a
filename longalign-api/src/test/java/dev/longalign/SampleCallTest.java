package dev.longalign;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.pipeline.SamplingDefaults;
import java.awt.image.BufferedImage;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

final class SampleCallTest {
  private static final SampleRequest REQUEST =
      SampleRequest.of("p").resolve(SamplingDefaults.STABLE_DIFFUSION, 8, 8);
  private static final BufferedImage PICTURE = new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB);

  private final List<String> events = Collections.synchronizedList(new ArrayList<>());

  private final ProgressListener listener =
      new ProgressListener() {
        @Override
        public void onStart(SampleRequest request) {
          events.add("start");
        }

        @Override
        public void onStep(SampleStep step) {
          events.add("step " + step.number() + "/" + step.of());
          throw new IllegalStateException("a listener that fails does not end the call");
        }

        @Override
        public void onEnd(SampleResult result) {
          events.add("end");
        }

        @Override
        public void onFailure(Throwable failure) {
          events.add("failure " + failure.getClass().getSimpleName());
        }
      };

  @Test
  void startIsFollowedByStepsAndEnd() {
    SampleCall call = call(SampleCallTest::twoSteps);
    assertThat(call.execute().image().getWidth()).isEqualTo(8);
    assertThat(events).containsExactly("start", "step 1/2", "step 2/2", "end");
    assertThat(call.isExecuted()).isTrue();
    assertThat(call.isCancelled()).isFalse();
    assertThatThrownBy(call::execute).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(call::toFuture).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void aFailureEndsTheCall() {
    SampleCall call =
        call(
            (c, onStep, onTiles, onPicture) -> {
              throw new LongAlignException("no");
            });
    assertThatThrownBy(call::execute).isInstanceOf(LongAlignException.class).hasMessage("no");
    assertThat(events).containsExactly("start", "failure LongAlignException");
  }

  @Test
  void cancelBeforeTheStartRunsNothing() {
    SampleCall call = call(SampleCallTest::twoSteps);
    call.cancel();
    assertThatThrownBy(call::execute).isInstanceOf(CancellationException.class);
    assertThat(events).containsExactly("start", "failure CancellationException");
  }

  @Test
  void cancelEndsBeforeTheNextStep() {
    SampleCall call =
        call(
            (c, onStep, onTiles, onPicture) -> {
              onStep.accept(step(1, 3));
              c.cancel();
              c.checkCancelled();
              throw new AssertionError("the next step");
            });
    assertThatThrownBy(call::execute).isInstanceOf(CancellationException.class);
    assertThat(events).containsExactly("start", "step 1/3", "failure CancellationException");
  }

  @Test
  void futuresEndAsTheCallDoes() throws Exception {
    assertThat(call(SampleCallTest::twoSteps).toFuture().get(5, TimeUnit.SECONDS).seeds())
        .containsExactly(42L);
    CompletableFuture<SampleResult> failing =
        call((c, onStep, onTiles, onPicture) -> {
              throw new OutOfMemoryError("native");
            })
            .toFuture();
    assertThatThrownBy(() -> failing.get(5, TimeUnit.SECONDS))
        .isInstanceOf(ExecutionException.class)
        .hasCauseInstanceOf(OutOfMemoryError.class);
  }

  @Test
  void cancellingTheFutureCancelsTheCall() throws Exception {
    CountDownLatch started = new CountDownLatch(1);
    CountDownLatch stopped = new CountDownLatch(1);
    SampleCall call =
        call(
            (c, onStep, onTiles, onPicture) -> {
              started.countDown();
              try {
                while (true) {
                  c.checkCancelled();
                  Thread.onSpinWait();
                }
              } finally {
                stopped.countDown();
              }
            });
    CompletableFuture<SampleResult> future = call.toFuture();
    assertThat(started.await(5, TimeUnit.SECONDS)).isTrue();
    assertThat(future.cancel(true)).isTrue();
    assertThat(stopped.await(5, TimeUnit.SECONDS)).isTrue();
    assertThat(call.isCancelled()).isTrue();
  }

  private SampleCall call(SampleCall.Work work) {
    return new SampleCall(
        REQUEST, listener, work, task -> new Thread(task, "sample-call-test").start());
  }

  /** What is done can be saved, even if the rest fails; who takes pictures can end the call. */
  @Test
  void picturesAreHandedOverWhenTheyAreDone() {
    List<SampleResult> pictures = new ArrayList<>();
    SampleResult whole = call(SampleCallTest::twoSteps).execute(pictures::add);
    assertThat(pictures).extracting(SampleResult::image).containsExactly(PICTURE);
    assertThat(whole.images()).isEmpty();
    assertThat(whole.seeds()).containsExactly(42L);
    assertThatThrownBy(whole::image)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("one by one");
    events.clear();
    SampleCall full =
        call(
            (c, onStep, onTiles, onPicture) -> {
              onPicture.accept(result(List.of(PICTURE)));
              throw new AssertionError("the next batch");
            });
    assertThatThrownBy(
            () ->
                full.execute(
                    picture -> {
                      throw new LongAlignException("the disk is full");
                    }))
        .hasMessage("the disk is full");
    assertThat(events).containsExactly("start", "failure LongAlignException");
  }

  private static SampleResult twoSteps(
      SampleCall call,
      Consumer<SampleStep> onStep,
      Consumer<String> onTiles,
      Consumer<SampleResult> onPicture) {
    onStep.accept(step(1, 2));
    onStep.accept(step(2, 2));
    onPicture.accept(result(List.of(PICTURE)));
    return result(List.of());
  }

  private static SampleResult result(List<BufferedImage> images) {
    return new SampleResult(
        images,
        REQUEST,
        null,
        new Provenance(
            new Provenance.Part("m", Optional.empty()),
            Optional.empty(),
            Optional.empty(),
            List.of(),
            Optional.empty(),
            false,
            "cpu",
            Optional.empty(),
            "f32",
            "s"),
        new SampleTimings(Duration.ZERO, Duration.ofSeconds(1), Duration.ZERO, 2),
        false);
  }

  private static SampleStep step(int number, int of) {
    return new SampleStep(number, of, 999, List.of(42L), List::of);
  }
}
