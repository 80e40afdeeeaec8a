package dev.longalign.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlign;
import dev.longalign.LongAlignException;
import dev.longalign.Precision;
import dev.longalign.SampleRequest;
import dev.longalign.SampleRequestBuilder;
import dev.longalign.SampleResult;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.tensor.Device;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Requests, devices and targets that cannot be; the engine survives them. */
final class BadRequestTest {
  @TempDir Path temp;

  private static void refuses(UnaryOperator<SampleRequestBuilder> request, String message) {
    assertThatThrownBy(() -> request.apply(SampleRequest.builder()).build())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(message);
  }

  @Test
  void numbersOutOfRange() {
    refuses(r -> r.width(500), "width: expected a multiple of 8, found 500; use 496 or 504");
    refuses(r -> r.size(512, 500), "height: expected a multiple of 8, found 500; use 496 or 504");
    refuses(r -> r.width(0), "width: expected 8 to 8192, found 0");
    refuses(r -> r.height(-8), "height: expected 8 to 8192, found -8");
    refuses(r -> r.steps(-1), "steps: expected 1 to 1000, found -1");
    refuses(r -> r.steps(0), "steps: expected 1 to 1000, found 0");
    refuses(r -> r.guidanceScale(-1), "guidanceScale: expected 0.0 to 1000.0, found -1.0");
    refuses(r -> r.guidanceScale(Float.NaN), "guidanceScale: expected 0.0 to 1000.0, found NaN");
    refuses(r -> r.strength(0), "strength: expected more than 0 to 1.0, found 0.0");
    refuses(r -> r.batchSize(0), "batchSize: expected 1 to 10000, found 0");
  }

  @Test
  void moreStepsThanASchedulerHas() {
    try (LongAlign longAlign = LongAlign.builder().build()) {
      longAlign.sample(Engines.quick(0, 1).build());
      long live = longAlign.memory().live();
      SampleRequest lcm =
          SampleRequest.of("A.").toBuilder().scheduler(Scheduler.LCM).steps(900).build();
      assertThatThrownBy(() -> longAlign.sample(lcm))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("900")
          .hasMessageContaining("steps");
      assertThat(longAlign.memory().live()).isEqualTo(live);
      assertThat(longAlign.sample(Engines.quick(0, 1).build()).images()).hasSize(1);
    }
  }

  @Test
  void devicesThatAreNotThere() {
    assertThatThrownBy(() -> LongAlign.builder().device(new Device("cuda", 0)).build().close())
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("device cuda")
        .hasMessageContaining("add dev.longalign:longalign-cuda");
    assertThatThrownBy(() -> Device.parse("gpu"))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("expected cpu, cuda, cuda:N or auto, found 'gpu'");
    try (LongAlign longAlign = LongAlign.builder().device(Device.best()).build()) {
      assertThat(longAlign.memory().live()).isPositive();
    }
  }

  @Test
  void precisionThatTheProcessorLacks() {
    assertThatThrownBy(
            () ->
                LongAlign.builder()
                    .device(F32OnlyProvider.DEVICE)
                    .precision(Precision.BF16)
                    .build()
                    .close())
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("precision bf16")
        .hasMessageContaining("use f32");
    assertThat(F32OnlyProvider.LAST.get().memory().live()).isZero();
  }

  @Test
  void targetsThatCannotBeWritten() throws IOException {
    try (LongAlign longAlign = LongAlign.builder().build()) {
      SampleResult result = longAlign.sample(Engines.quick(0, 1).build());
      Path missing = temp.resolve("missing/out.png");
      assertThatThrownBy(() -> result.save(missing))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining(missing.toString())
          .hasMessageContaining("does not exist; create it first");
      assertThatThrownBy(() -> result.save(temp))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("is a directory");
      Path file = Files.writeString(temp.resolve("file"), "kept");
      assertThatThrownBy(() -> result.saveAll(file))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining(file + ": expected a directory");
      assertThat(file).hasContent("kept");
      try (Stream<Path> files = Files.list(temp)) {
        assertThat(files).containsExactly(file);
      }
      SampleResult two = longAlign.sample(Engines.quick(0, 1).images(2).build());
      assertThatThrownBy(() -> two.save(temp.resolve("one.png")))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("expected one picture, found 2; use saveAll");
    }
  }

  @Test
  void fullDisk() {
    Path full = Path.of("/dev/full");
    Assumptions.assumeTrue(Files.exists(full), "this system has no /dev/full");
    try (LongAlign longAlign = LongAlign.builder().build()) {
      SampleResult result = longAlign.sample(Engines.quick(0, 1).build());
      assertThatThrownBy(() -> result.save(full))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("/dev/full cannot be written: the disk is full")
          .hasMessageContaining("free some space or write elsewhere");
    }
  }
}
