package dev.longalign;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.pipeline.SamplingDefaults;
import dev.longalign.scheduler.Scheduler;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

final class SampleRequestTest {

  @Test
  void defaultsAreLongAlignsOwn() {
    SampleRequest request = resolved(SampleRequest.of("a prompt"), 3f);
    assertThat(request.scheduler()).contains(Scheduler.UNIPC);
    assertThat(request.steps()).hasValue(25);
    assertThat(request.guidanceScale()).contains(3f);
    assertThat(request.seeds()).containsExactly(42L);
    assertThat(request.generator()).isEqualTo(Generator.TORCH_CPU);
  }

  @Test
  void lcmHasItsOwnDefaultsWhereverItIsAskedFor() {
    SampleRequest request = SampleRequest.of("p").toBuilder().scheduler(Scheduler.LCM).build();
    assertThat(resolved(request, 7.5f).steps()).hasValue(4);
    assertThat(resolved(request, 7.5f).guidanceScale()).contains(0f);
    SampleRequest said = request.toBuilder().steps(8).guidanceScale(2f).build();
    assertThat(resolved(said, 7.5f).steps()).hasValue(8);
    assertThat(resolved(said, 7.5f).guidanceScale()).contains(2f);
  }

  /** A distilled model says what it is sampled with; whoever asks for another sampler gets that. */
  @Test
  void aModelHasDefaultsOfItsOwn() {
    SamplingDefaults distilled = SamplingDefaults.distilled(3);
    SampleRequest open = SampleRequest.of("p").resolve(distilled, 8, 8);
    assertThat(open.scheduler()).contains(Scheduler.LCM);
    assertThat(open.steps()).hasValue(3);
    assertThat(open.guidanceScale()).contains(0f);
    SampleRequest other =
        SampleRequest.builder().scheduler(Scheduler.DDIM).build().resolve(distilled, 8, 8);
    assertThat(other.steps()).hasValue(25);
    assertThat(other.guidanceScale()).contains(7.5f);
  }

  private static SampleRequest resolved(SampleRequest request, float guidanceScale) {
    return request.resolve(new SamplingDefaults(Scheduler.UNIPC, 25, guidanceScale), 8, 8);
  }

  @Test
  void resolveFillsInAndKeepsWhatWasAskedFor() {
    SampleRequest resolved =
        SampleRequest.of("p").toBuilder()
            .width(64)
            .build()
            .resolve(new SamplingDefaults(Scheduler.UNIPC, 25, 3f), 96, 128);
    assertThat(resolved.steps()).hasValue(25);
    assertThat(resolved.guidanceScale()).contains(3f);
    assertThat(resolved.width()).hasValue(64);
    assertThat(resolved.height()).hasValue(128);
    assertThat(resolved.resolve(SamplingDefaults.distilled(4), 8, 8)).isEqualTo(resolved);
  }

  @Test
  void seedsFollowTheFirstOne() {
    assertThat(SampleRequest.builder().seed(7).images(3).build().seeds())
        .containsExactly(7L, 8L, 9L);
    assertThat(SampleRequest.builder().images(2).seed(-1).build().seeds()).containsExactly(-1L, 0L);
    assertThat(SampleRequest.builder().seed(Long.MAX_VALUE).images(2).build().seeds())
        .extracting(Long::toUnsignedString)
        .containsExactly("9223372036854775807", "9223372036854775808");
    assertThat(SampleRequest.builder().seeds(List.of(5L, 1L)).build().seeds())
        .containsExactly(5L, 1L);
  }

  @Test
  void toBuilderKeepsEverything() {
    SampleRequest request =
        SampleRequest.builder()
            .prompt("p")
            .negativePrompt("n")
            .scheduler(Scheduler.DDIM)
            .steps(7)
            .guidanceScale(2.5f)
            .karrasSigmas(true)
            .seeds(List.of(3L, 9L))
            .batchSize(2)
            .size(504, 256)
            .initImage(new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB))
            .strength(0.5f)
            .eta(0.25f)
            .generator(Generator.TORCH_CUDA)
            .splitter(Splitter.SENTENCES)
            .strict(true)
            .build();
    assertThat(request.toBuilder().build()).isEqualTo(request);
    assertThat(request).isNotEqualTo(SampleRequest.of("p"));
  }

  static List<Arguments> refused() {
    return List.of(
        refuse(b -> b.size(500, 512), "width: expected a multiple of 8, found 500; use 496 or 504"),
        refuse(b -> b.height(0), "height: expected 8 to 8192, found 0"),
        refuse(b -> b.steps(-1), "steps: expected 1 to 1000, found -1"),
        refuse(b -> b.steps(1001), "steps: expected 1 to 1000, found 1001"),
        refuse(b -> b.guidanceScale(Float.NaN), "guidanceScale: expected 0.0 to 1000.0, found NaN"),
        refuse(b -> b.guidanceScale(-1), "guidanceScale: expected 0.0 to 1000.0, found -1.0"),
        refuse(b -> b.images(0), "images: expected 1 to"),
        refuse(b -> b.seeds(List.of()), "images: expected 1 to"),
        refuse(b -> b.batchSize(0), "batchSize: expected 1 to 10000, found 0"),
        refuse(b -> b.strength(0), "strength: expected more than 0 to 1.0, found 0.0"),
        refuse(b -> b.strength(1.5f), "strength: expected more than 0 to 1.0, found 1.5"),
        refuse(b -> b.eta(2), "eta: expected 0.0 to 1.0, found 2.0"));
  }

  private static Arguments refuse(UnaryOperator<SampleRequestBuilder> change, String message) {
    return Arguments.of(change, message);
  }

  @ParameterizedTest
  @MethodSource("refused")
  void refusesWhatNoModelCouldDo(UnaryOperator<SampleRequestBuilder> change, String message) {
    assertThatThrownBy(() -> change.apply(SampleRequest.builder()).build())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  @Test
  void nullsAreNamed() {
    assertThatThrownBy(() -> SampleRequest.of(null))
        .isInstanceOf(NullPointerException.class)
        .hasMessageContaining("prompt");
  }
}
