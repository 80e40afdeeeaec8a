package dev.longalign.engine;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlign;
import dev.longalign.model.PreparedContext;
import dev.longalign.onnx.OnnxEncoderProvider;
import dev.longalign.pipeline.Denoiser;
import dev.longalign.pipeline.PictureDecoder;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.random.RandomTensors;
import dev.longalign.random.TorchGenerator;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import dev.longalign.text.EncodingReport;
import dev.longalign.text.TextEncoder;
import dev.longalign.text.Tokenizer;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The embedded model against what PyTorch computes from the same weights in f32. The embedded copy
 * keeps them in f16: that alone moves single results by some 1e-4 of the largest value, and the
 * final latents by up to 9e-4.
 */
final class MiniReferenceTest {
  /** For results of the networks whose weights are f32: all but the UNet. */
  private static final Tolerance EXACT = Tolerance.relative(1e-4);

  /** For results of the UNet, whose weights are f16, and of pictures made of them. */
  private static final Tolerance HALF = Tolerance.relative(1e-3);

  /** For 25 steps of the UNet. */
  private static final Tolerance SAMPLED = Tolerance.relative(1e-3);

  private static final Golden REFERENCE = MiniModel.reference();
  private static final List<String> PROMPTS = prompts();

  private static MiniModel model;
  private static MiniModel base;

  @BeforeAll
  static void open() {
    model = new MiniModel(true);
    base = new MiniModel(false);
  }

  @AfterAll
  static void close() {
    model.close();
    base.close();
    assertThat(model.backend.memory().live()).isZero();
    assertThat(base.backend.memory().live()).isZero();
  }

  @Test
  void tokens() {
    JsonObject json = REFERENCE.description();
    for (int i = 0; i < PROMPTS.size(); i++) {
      EncodingReport report =
          model.prompts.encode(PROMPTS.get(i), TextEncoding.LONGALIGN, false).report();
      JsonArray segments = json.getAsJsonArray("clip_segments").get(i).getAsJsonArray();
      assertThat(report.segments()).hasSize(segments.size());
      for (int s = 0; s < segments.size(); s++) {
        JsonObject segment = segments.get(s).getAsJsonObject();
        assertThat(report.segments().get(s).text()).isEqualTo(segment.get("text").getAsString());
        assertThat(report.segments().get(s).ids()).isEqualTo(ids(segment.get("ids")));
      }
      assertThat(report.t5().ids()).isEqualTo(ids(json.getAsJsonArray("t5_ids").get(i)));
      assertThat(report.isComplete()).isTrue();
      EncodingReport truncated =
          model.prompts.encode(PROMPTS.get(i), TextEncoding.TRUNCATED, false).report();
      List<Integer> kept = new ArrayList<>(truncated.segments().get(0).ids().subList(0, 76));
      kept.add(715);
      assertThat(kept).isEqualTo(ids(json.getAsJsonArray("clip_ids_77").get(i)));
      assertThat(truncated.isComplete()).isFalse();
    }
  }

  @Test
  void contexts() {
    List<String> all = new ArrayList<>(PROMPTS);
    all.add("");
    try (TensorScope scope = TensorScope.open()) {
      REFERENCE.check(EXACT, "prompt_embeds", model.contexts(all, TextEncoding.LONGALIGN));
      REFERENCE.check(EXACT, "clip_concat", model.contexts(all, TextEncoding.SEGMENTS));
      REFERENCE.check(EXACT, "clip_hidden_77", model.contexts(PROMPTS, TextEncoding.TRUNCATED));
      // '' is one segment of two tokens, of which the start stays; the rest is padding.
      float[] empty = model.contexts(List.of(""), TextEncoding.SEGMENTS).toFloats();
      float[] last = Arrays.copyOfRange(empty, empty.length - 128, empty.length);
      EXACT.check("pad_embed", Shape.of(1, 128), REFERENCE.floats("pad_embed"), last);
    }
  }

  @Test
  void t5AndAdapter() {
    OnnxEncoderProvider provider = new OnnxEncoderProvider();
    try (Tokenizer tokenizer = provider.t5Tokenizer(model.files.t5().orElseThrow());
        TextEncoder encoder = provider.t5Encoder(model.files.t5().orElseThrow(), 0);
        TensorScope scope = TensorScope.open()) {
      List<String> all = new ArrayList<>(PROMPTS);
      all.add("");
      int[][] ids =
          Tokenizer.pad(tokenizer.encodeAll(all), 240, tokenizer.padId(), tokenizer.eosId());
      assertThat(Arrays.stream(ids).flatMapToInt(IntStream::of).asLongStream().toArray())
          .isEqualTo(REFERENCE.longs("t5_input_ids"));
      float[] states = encoder.encode(ids).values();
      EXACT.check("t5_embeds", REFERENCE.shape("t5_embeds"), REFERENCE.floats("t5_embeds"), states);
      Tensor exact = REFERENCE.tensor(model.backend, "t5_embeds");
      REFERENCE.check(EXACT, "adapter_out", model.adapter.forward(exact));
    }
  }

  @Test
  void initialNoiseIsTorchs() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor noise =
          RandomTensors.randn(model.backend, new TorchGenerator(42), Shape.of(4, 12, 12, 4));
      REFERENCE.checkNhwc(Tolerance.relative(1e-6), "init_latents", noise);
    }
  }

  @Test
  void firstPredictions() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor latents = REFERENCE.nhwc(model.backend, "init_latents");
      Tensor embeds = REFERENCE.tensor(model.backend, "prompt_embeds");
      PreparedContext conditional = model.unet.prepareContext(embeds.rows(0, 4));
      Tensor empty = embeds.rows(4, 5);
      PreparedContext unconditional =
          model.unet.prepareContext(Tensor.concat(0, empty, empty, empty, empty));
      REFERENCE.checkNhwc(HALF, "eps_cond_step0", model.unet.forward(latents, 999f, conditional));
      REFERENCE.checkNhwc(
          HALF, "eps_uncond_step0", model.unet.forward(latents, 999f, unconditional));
    }
  }

  @Test
  void latentsOfEveryRecordedStep() {
    Set<Integer> recorded = Set.of(0, 1, 2, 12);
    List<Integer> seen = new ArrayList<>();
    JsonArray timesteps = REFERENCE.description().getAsJsonArray("timesteps");
    try (TensorScope scope = TensorScope.open()) {
      Tensor last =
          model.sample(
              REFERENCE.nhwc(model.backend, "init_latents"),
              PROMPTS,
              TextEncoding.LONGALIGN,
              new Denoiser.Observer() {
                @Override
                public void afterStep(
                    int step, float timestep, Tensor latents, Supplier<Tensor> original) {
                  assertThat(timestep).isEqualTo(timesteps.get(step).getAsFloat());
                  seen.add(step);
                  if (recorded.contains(step)) {
                    REFERENCE.checkNhwc(SAMPLED, "latents_after_step" + step, latents);
                  }
                }
              });
      assertThat(seen).isEqualTo(IntStream.range(0, MiniModel.STEPS).boxed().toList());
      REFERENCE.checkNhwc(SAMPLED, "final_latents", last);
      REFERENCE.checkNhwc(HALF, "decoded_image", model.vae.decodeScaled(last));
    }
  }

  @Test
  void cutAt77Tokens() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor last =
          base.sample(
              REFERENCE.nhwc(base.backend, "init_latents"),
              PROMPTS,
              TextEncoding.TRUNCATED,
              Denoiser.Observer.NONE);
      REFERENCE.checkNhwc(SAMPLED, "base77_final_latents", last);
    }
  }

  @Test
  void pictureToLatentsAndBack() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor pictures = REFERENCE.nhwc(model.backend, "vae_encode_in");
      Tensor mean = model.vae.encode(pictures).mean();
      REFERENCE.checkNhwc(EXACT, "vae_encode_mean", mean);
      float[] moments = model.vae.moments(pictures).toFloats();
      float[] logVariance = new float[moments.length / 2];
      for (int i = 0; i < logVariance.length; i++) {
        logVariance[i] = moments[i / 4 * 8 + 4 + i % 4];
      }
      Shape nchw = REFERENCE.shape("vae_encode_logvar");
      EXACT.check(
          "vae_encode_logvar (NHWC)",
          Golden.nhwc(nchw),
          Golden.toNhwc(nchw, REFERENCE.floats("vae_encode_logvar")),
          logVariance);
      REFERENCE.checkNhwc(EXACT, "vae_decode_of_mean", model.vae.decode(mean));
    }
  }

  /** The public way: nothing but the prompt, and the default seed 42. */
  @Test
  void theEngineGivesTheReferencePicture() {
    try (LongAlign longAlign = LongAlign.builder().build();
        TensorScope scope = TensorScope.open()) {
      BufferedImage picture = longAlign.sample(PROMPTS.get(0)).image();
      Tensor expected = REFERENCE.nhwc(model.backend, "final_latents").rows(0, 1);
      BufferedImage wanted = new PictureDecoder(model.vae).decode(expected).get(0);
      int[] clean = Images.rgb(wanted);
      assertThat(Images.largestDifference(clean, Images.bytes(REFERENCE, "decoded_image", 0)))
          .isLessThanOrEqualTo(1);
      assertThat(Images.largestDifference(Images.rgb(picture), clean)).isLessThanOrEqualTo(2);
    }
  }

  private static List<String> prompts() {
    List<String> prompts = new ArrayList<>();
    REFERENCE.description().getAsJsonArray("prompts").forEach(p -> prompts.add(p.getAsString()));
    return prompts;
  }

  private static List<Integer> ids(JsonElement array) {
    List<Integer> ids = new ArrayList<>();
    array.getAsJsonArray().forEach(id -> ids.add(id.getAsInt()));
    return ids;
  }
}
