package dev.longalign.cli.verify;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.EmbeddedModel;
import dev.longalign.Generator;
import dev.longalign.LongAlign;
import dev.longalign.SampleRequest;
import dev.longalign.SampleRequestBuilder;
import dev.longalign.SampleResult;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.pipeline.VaeTiling;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.tensor.Shape;
import java.awt.image.BufferedImage;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * {@code sample/pictures}: pictures of the embedded model as diffusers draws them, from prompts and
 * from pictures, through the public interface.
 */
final class PictureCases implements CaseSource {
  private static final String AREA = "sample";

  private final Bench bench;
  private final Vectors vectors;
  private final Map<VaeTiling, LongAlign> engines = new EnumMap<>(VaeTiling.class);

  PictureCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
  }

  @Override
  public List<VerifyCase> cases() {
    List<VerifyCase> cases = new ArrayList<>();
    for (JsonElement one : vectors.value("cases").getAsJsonArray()) {
      JsonObject json = one.getAsJsonObject();
      String name = vectors.name() + "." + json.get("name").getAsString();
      cases.add(new VerifyCase(AREA, name, comparison -> check(json, comparison)));
    }
    return cases;
  }

  private void check(JsonObject json, Comparison comparison) {
    String name = json.get("name").getAsString();
    SampleRequestBuilder request =
        SampleRequest.of(vectors.value("prompt").getAsString()).toBuilder()
            .scheduler(Scheduler.valueOf(upper(json, "scheduler")))
            .steps(json.get("steps").getAsInt())
            .guidanceScale(json.get("guidance_scale").getAsFloat())
            .seeds(
                json.getAsJsonArray("seeds").asList().stream().map(JsonElement::getAsLong).toList())
            .size(json.get("width").getAsInt(), json.get("height").getAsInt());
    if (json.has("strength")) {
      request.initImage(picture(name + ".image")).strength(json.get("strength").getAsFloat());
    }
    if (json.has("eta")) {
      request.eta(json.get("eta").getAsFloat());
    }
    if (json.has("generator")) {
      request.generator(Generator.valueOf(upper(json, "generator")));
    }
    VaeTiling tiling =
        json.has("vae_tiling") ? VaeTiling.valueOf(upper(json, "vae_tiling")) : VaeTiling.NEVER;
    SampleResult result = engines.computeIfAbsent(tiling, this::open).sample(request.build());
    comparison.same("tiled", tiling == VaeTiling.ALWAYS, result.tiled());
    PictureBytes.check(vectors, name + ".pictures", result.images(), comparison);
  }

  private LongAlign open(VaeTiling tiling) {
    return LongAlign.builder()
        .model(EmbeddedModel.directory())
        .withoutOwnLora()
        .textEncoding(TextEncoding.TRUNCATED)
        .device(bench.device())
        .threads(bench.threads())
        .vaeTiling(tiling)
        .build();
  }

  private static String upper(JsonObject json, String key) {
    return json.get(key).getAsString().toUpperCase(Locale.ROOT);
  }

  private BufferedImage picture(String name) { // [H, W, 3]
    Shape shape = vectors.shape(name);
    float[] rgb = vectors.floats(name);
    int width = shape.intDim(1);
    BufferedImage image = new BufferedImage(width, shape.intDim(0), BufferedImage.TYPE_INT_RGB);
    for (int i = 0; i < rgb.length; i += 3) {
      int value = (int) rgb[i] << 16 | (int) rgb[i + 1] << 8 | (int) rgb[i + 2];
      image.setRGB(i / 3 % width, i / 3 / width, value);
    }
    return image;
  }

  @Override
  public void close() {
    engines.values().forEach(LongAlign::close);
  }
}
