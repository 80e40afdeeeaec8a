package dev.longalign;

import dev.longalign.io.GenerationParameters;
import dev.longalign.io.Names;
import dev.longalign.io.Seeds;
import dev.longalign.io.Software;
import dev.longalign.scheduler.Scheduler;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Requests as the {@code parameters} text chunk that Stable Diffusion web UIs write and read. It
 * keeps what those know; the splitter, for one, is in our own chunk only.
 */
public final class ParametersText {
  private static final String STEPS = "Steps";
  private static final String SAMPLER = "Sampler";
  private static final String SCHEDULE = "Schedule type";
  private static final String SCHEDULER = "Scheduler";
  private static final String GUIDANCE = "CFG scale";
  private static final String SEED = "Seed";
  private static final String SIZE = "Size";
  private static final String MODEL = "Model";
  private static final String MODEL_HASH = "Model hash";
  private static final String STRENGTH = "Denoising strength";
  private static final String ETA = "Eta";
  private static final String ETA_DDIM = "Eta DDIM";
  private static final String GENERATOR = "RNG";
  private static final String LORAS = "Loras";
  private static final String VERSION = "Version";
  private static final String PHILOX = "NV";

  /** What is read elsewhere, or changes nothing in a picture. */
  private static final Set<String> SETTLED =
      Set.of(
          STEPS,
          SAMPLER,
          SCHEDULE,
          SCHEDULER,
          GUIDANCE,
          SEED,
          SIZE,
          MODEL,
          MODEL_HASH,
          STRENGTH,
          ETA,
          ETA_DDIM,
          GENERATOR,
          VERSION,
          "Batch size",
          "Batch pos",
          "Lora hashes",
          "Hashes",
          "User",
          "Created",
          "Civitai resources",
          "Civitai metadata");

  /** Values of settings that are switched off. */
  private static final Pattern OFF =
      Pattern.compile("|0(\\.0*)?|none|false|off", Pattern.CASE_INSENSITIVE);

  private static final Pattern NETWORK =
      Pattern.compile("<(lora|lyco|hypernet):([^:>]{0,200})(:[^>]{0,200})?>");
  private static final Pattern EMPHASIS =
      Pattern.compile("(?<!\\\\)[(\\[][^()\\[\\]]*(?<!\\\\)[)\\]]");
  private static final int MAX_NOTES = 20;

  private ParametersText() {}

  /**
   * The settings of one picture of a resolved request.
   *
   * @param seed the picture's own
   */
  public static String write(SampleRequest request, long seed, Provenance provenance) {
    Map<String, String> settings = new LinkedHashMap<>();
    request.steps().ifPresent(n -> settings.put(STEPS, Integer.toString(n)));
    request.scheduler().ifPresent(s -> settings.put(SAMPLER, WebSampler.name(s)));
    request.karrasSigmas().filter(k -> k).ifPresent(k -> settings.put(SCHEDULE, "Karras"));
    request.guidanceScale().ifPresent(g -> settings.put(GUIDANCE, number(g)));
    settings.put(SEED, Seeds.format(seed));
    if (request.width().isPresent() && request.height().isPresent()) {
      settings.put(SIZE, request.width().getAsInt() + "x" + request.height().getAsInt());
    }
    provenance.model().sha256().ifPresent(h -> settings.put(MODEL_HASH, h.substring(0, 10)));
    settings.put(MODEL, provenance.model().name());
    if (request.initImage().isPresent()) {
      settings.put(STRENGTH, number(request.strength()));
    }
    if (request.eta() != 0) {
      settings.put(ETA, number(request.eta()));
    }
    settings.put(GENERATOR, request.generator() == Generator.TORCH_CUDA ? PHILOX : "CPU");
    if (!provenance.loras().isEmpty()) {
      settings.put(
          LORAS,
          provenance.loras().stream()
              .map(lora -> lora.file().name() + ":" + lora.scale())
              .collect(Collectors.joining(", ")));
    }
    settings.put(VERSION, provenance.software());
    return new GenerationParameters(
            printable(request.prompt()), printable(request.negativePrompt()), settings)
        .format();
  }

  /** {@link #read(String, String, SampleRequestBuilder)} of all settings. */
  public static PictureSettings read(String text, String source) {
    return read(text, source, SampleRequest.builder());
  }

  /**
   * Reads what {@link #write} or another program wrote.
   *
   * @param source named in messages
   * @param said what it says is not read
   * @throws LongAlignException if there is no line of settings, or a value cannot be used
   */
  static PictureSettings read(String text, String source, SampleRequestBuilder said) {
    GenerationParameters parameters = GenerationParameters.parse(text);
    if (!parameters.settings().containsKey(STEPS)) {
      throw new LongAlignException(
          source
              + ": expected a last line 'Steps: ..., Sampler: ..., Seed: ...' in the parameters"
              + " chunk, found none; the file does not say how it was made");
    }
    try {
      return new Reading(parameters, said).settings();
    } catch (IllegalArgumentException e) {
      throw new LongAlignException(
          source + ", parameters chunk: " + Names.printable(e.getMessage()), e);
    }
  }

  /** One text; collects what is not honoured. */
  private static final class Reading {
    private final GenerationParameters parameters;
    private final Map<String, String> settings;
    private final SampleRequestBuilder said;
    private final boolean own;
    private final Set<String> notes = new LinkedHashSet<>();

    Reading(GenerationParameters parameters, SampleRequestBuilder said) {
      this.parameters = parameters;
      this.settings = parameters.settings();
      this.said = said;
      this.own = settings.getOrDefault(VERSION, "").startsWith(Software.LIBRARY);
    }

    PictureSettings settings() {
      said.steps = or(said.steps, STEPS, Integer::parseInt);
      sampler();
      said.guidanceScale = or(said.guidanceScale, GUIDANCE, Float::parseFloat);
      if (said.seeds == null) {
        said.seed = or(said.seed, SEED, Seeds::parse);
      }
      size();
      eta();
      generator();
      boolean fromInitImage = own && settings.containsKey(STRENGTH);
      strength(fromInitImage);
      if (!own) {
        model();
        others();
      }
      said.prompt = said.prompt == null ? prompt(parameters.prompt()) : said.prompt;
      said.negativePrompt =
          said.negativePrompt == null ? prompt(parameters.negativePrompt()) : said.negativePrompt;
      List<String> shown = new ArrayList<>(notes.stream().limit(MAX_NOTES).toList());
      if (notes.size() > MAX_NOTES) {
        shown.add(notes.size() - MAX_NOTES + " more settings are not honoured");
      }
      return new PictureSettings(
          said.build(), Optional.empty(), fromInitImage, Optional.empty(), shown);
    }

    private <T> T or(T already, String name, Function<String, T> parse) {
      String value = settings.get(name);
      if (already != null || value == null) {
        return already;
      }
      try {
        return parse.apply(value);
      } catch (NumberFormatException noNumber) {
        throw new IllegalArgumentException(
            name + ": expected a number in its range, found " + value, noNumber);
      }
    }

    private void sampler() {
      String name = settings.get(SAMPLER);
      if (said.scheduler != null || name == null) {
        if (said.scheduler != null && said.karrasSigmas == null && karras()) {
          said.karrasSigmas = true;
        }
        return;
      }
      WebSampler sampler = WebSampler.of(name, schedule());
      said.scheduler = sampler.scheduler();
      said.karrasSigmas =
          said.karrasSigmas == null ? sampler.karras().orElse(null) : said.karrasSigmas;
      sampler
          .notHonoured()
          .ifPresent(type -> notes.add("the schedule '" + type + "' is not honoured"));
    }

    private String schedule() {
      return settings.getOrDefault(SCHEDULE, settings.getOrDefault(SCHEDULER, ""));
    }

    /** Said of a sampler that was replaced, it is meant for the one in its place. */
    private boolean karras() {
      return (settings.getOrDefault(SAMPLER, "") + schedule())
          .toLowerCase(Locale.ROOT)
          .contains("karras");
    }

    private void size() {
      String size = settings.get(SIZE);
      if (size == null || said.width != null && said.height != null) {
        return;
      }
      if (!size.matches("\\d{1,9}x\\d{1,9}")) {
        throw new IllegalArgumentException(SIZE + ": expected WIDTHxHEIGHT, found " + size);
      }
      int x = size.indexOf('x');
      said.width =
          said.width == null ? (Integer) Integer.parseInt(size.substring(0, x)) : said.width;
      said.height =
          said.height == null ? (Integer) Integer.parseInt(size.substring(x + 1)) : said.height;
    }

    private void eta() {
      boolean ddim = said.scheduler == Scheduler.DDIM;
      if (own || ddim) {
        said.eta = or(said.eta, settings.containsKey(ETA_DDIM) ? ETA_DDIM : ETA, Float::parseFloat);
      } else if (said.eta == null) {
        note(ETA);
      }
    }

    private void generator() {
      String name = settings.get(GENERATOR);
      if (said.generator != null) {
        return;
      } else if (name == null) {
        notes.add(
            GENERATOR
                + " is not said: the noise is drawn as on a CPU; if it was drawn on a GPU, the"
                + " generator is torch_cuda");
      } else if (List.of(PHILOX, "GPU", "CUDA").contains(name.toUpperCase(Locale.ROOT))) {
        said.generator = Generator.TORCH_CUDA;
      } else if (!name.equalsIgnoreCase("CPU")) {
        note(GENERATOR);
      }
    }

    private void strength(boolean fromInitImage) {
      if (fromInitImage || said.initImage != null) {
        said.strength = or(said.strength, STRENGTH, Float::parseFloat);
      } else if (settings.containsKey(STRENGTH)) {
        notes.add(
            shown(STRENGTH)
                + " is not honoured: give the picture that it was made from, if it was made from"
                + " one");
      }
    }

    private void model() {
      if (settings.containsKey(MODEL) || settings.containsKey(MODEL_HASH)) {
        notes.add(
            "model: "
                + Names.printable(settings.getOrDefault(MODEL, "one"))
                + Optional.ofNullable(settings.get(MODEL_HASH))
                    .map(hash -> " (hash " + Names.printable(hash) + ")")
                    .orElse("")
                + " made the picture; whether the one here is the same is not known");
      }
    }

    private void others() {
      settings.forEach(
          (name, value) -> {
            boolean first = name.equals("Clip skip") && value.equals("1");
            if (!SETTLED.contains(name) && !OFF.matcher(value).matches() && !first) {
              note(name);
            }
          });
    }

    private void note(String name) {
      if (settings.containsKey(name)) {
        notes.add(shown(name) + " is not honoured");
      }
    }

    private String shown(String name) {
      return Names.printable(name + ": " + settings.get(name));
    }

    /** Web UIs take the networks out of a prompt, and read marks in it as emphasis. */
    private String prompt(String text) {
      if (own) {
        return text;
      }
      Matcher networks = NETWORK.matcher(text);
      while (networks.find()) {
        notes.add(
            Names.printable(networks.group())
                + " in the prompt is not honoured: name the file with the lora option");
      }
      String plain = networks.replaceAll("");
      if (EMPHASIS.matcher(plain).find()) {
        notes.add("( ) and [ ] in the prompt are read as they stand, not as emphasis");
      }
      return plain;
    }
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
