package dev.longalign;

import dev.longalign.io.GenerationParameters;
import dev.longalign.scheduler.Scheduler;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Requests as the {@code parameters} text chunk that Stable Diffusion web UIs write and read. It
 * keeps what those know; the splitter, for one, is in our own chunk only.
 */
public final class ParametersText {
  private static final String STEPS = "Steps";
  private static final String SAMPLER = "Sampler";
  private static final String GUIDANCE = "CFG scale";
  private static final String SEED = "Seed";
  private static final String SIZE = "Size";
  private static final String MODEL = "Model";
  private static final String STRENGTH = "Denoising strength";
  private static final String ETA = "Eta";
  private static final String GENERATOR = "RNG";
  private static final String LORAS = "Loras";
  private static final String VERSION = "Version";
  private static final String PHILOX = "NV";

  private ParametersText() {}

  /**
   * The settings of one picture of a resolved request.
   *
   * @param seed the picture's own
   */
  public static String write(SampleRequest request, long seed, Provenance provenance) {
    Map<String, String> settings = new LinkedHashMap<>();
    settings.put(STEPS, Integer.toString(request.effectiveSteps()));
    settings.put(SAMPLER, webName(request.scheduler()));
    request.guidanceScale().ifPresent(g -> settings.put(GUIDANCE, number(g)));
    settings.put(SEED, Long.toString(seed));
    if (request.width().isPresent() && request.height().isPresent()) {
      settings.put(SIZE, request.width().getAsInt() + "x" + request.height().getAsInt());
    }
    settings.put(MODEL, provenance.model());
    if (request.initImage().isPresent()) {
      settings.put(STRENGTH, number(request.strength()));
    }
    if (request.eta() != 0) {
      settings.put(ETA, number(request.eta()));
    }
    settings.put(GENERATOR, request.generator() == Generator.TORCH_CUDA ? PHILOX : "CPU");
    if (!provenance.loras().isEmpty()) {
      settings.put(LORAS, String.join(", ", provenance.loras()));
    }
    settings.put(VERSION, provenance.software());
    return new GenerationParameters(
            printable(request.prompt()), printable(request.negativePrompt()), settings)
        .format();
  }

  /**
   * Reads what {@link #write} or another program wrote. Settings that LongAlign does not have are
   * left out.
   *
   * @param source named in messages
   * @throws LongAlignException if there is no line of settings, or a value cannot be used
   */
  public static PictureSettings read(String text, String source) {
    GenerationParameters parameters = GenerationParameters.parse(text);
    Map<String, String> settings = parameters.settings();
    if (!settings.containsKey(STEPS)) {
      throw new LongAlignException(
          source
              + ": expected a last line 'Steps: ..., Sampler: ..., Seed: ...' in the parameters"
              + " chunk, found none; the file does not say how it was made");
    }
    try {
      SampleRequestBuilder builder =
          SampleRequest.builder()
              .prompt(parameters.prompt())
              .negativePrompt(parameters.negativePrompt());
      apply(settings, builder);
      return new PictureSettings(builder.build(), Optional.empty(), settings.containsKey(STRENGTH));
    } catch (IllegalArgumentException e) {
      throw new LongAlignException(source + ", parameters chunk: " + e.getMessage(), e);
    }
  }

  private static void apply(Map<String, String> settings, SampleRequestBuilder builder) {
    builder.steps(Integer.parseInt(settings.get(STEPS)));
    value(settings, SAMPLER).ifPresent(name -> builder.scheduler(scheduler(name)));
    value(settings, GUIDANCE).ifPresent(g -> builder.guidanceScale(Float.parseFloat(g)));
    value(settings, SEED).ifPresent(seed -> builder.seed(Long.parseLong(seed)));
    value(settings, ETA).ifPresent(eta -> builder.eta(Float.parseFloat(eta)));
    value(settings, STRENGTH).ifPresent(s -> builder.strength(Float.parseFloat(s)));
    if (PHILOX.equals(settings.get(GENERATOR))) {
      builder.generator(Generator.TORCH_CUDA);
    }
    String size = settings.get(SIZE);
    if (size != null) {
      if (!size.matches("\\d{1,9}x\\d{1,9}")) {
        throw new IllegalArgumentException(SIZE + ": expected WIDTHxHEIGHT, found " + size);
      }
      int x = size.indexOf('x');
      builder.size(Integer.parseInt(size.substring(0, x)), Integer.parseInt(size.substring(x + 1)));
    }
  }

  private static Optional<String> value(Map<String, String> settings, String name) {
    return Optional.ofNullable(settings.get(name));
  }

  /** What web UIs call a sampler. */
  private static String webName(Scheduler scheduler) {
    return switch (scheduler) {
      case UNIPC -> "UniPC";
      case EULER -> "Euler";
      case EULER_ANCESTRAL -> "Euler a";
      case DPMPP_2M -> "DPM++ 2M";
      case LCM, DDIM, DDPM -> scheduler.name();
    };
  }

  private static Scheduler scheduler(String webName) {
    StringBuilder known = new StringBuilder();
    for (Scheduler scheduler : Scheduler.values()) {
      if (webName(scheduler).equalsIgnoreCase(webName)) {
        return scheduler;
      }
      known.append(known.isEmpty() ? "" : ", ").append(webName(scheduler));
    }
    throw new IllegalArgumentException(
        SAMPLER + ": expected one of " + known + ", found " + webName);
  }

  /** Text chunks cannot hold NUL, and readers stumble over the other control characters. */
  private static String printable(String prompt) {
    return prompt.replace("\r\n", "\n").replaceAll("[\\p{Cntrl}&&[^\n\t]]", "\uFFFD");
  }

  /** 7.5, and 7 rather than 7.0, as others write it. */
  private static String number(float value) {
    return value == Math.rint(value) && Math.abs(value) < 1e7f
        ? Integer.toString((int) value)
        : Float.toString(value);
  }
}
