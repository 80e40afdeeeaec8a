package dev.longalign;

import dev.longalign.scheduler.Scheduler;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * A sampler as web UIs name it: {@code DPM++ 2M Karras}, or {@code DPM++ 2M} with a schedule type.
 *
 * @param karras whether its noise levels are those of Karras et al.; empty if nothing is said
 * @param notHonoured a schedule type that this library does not have for it
 */
record WebSampler(Scheduler scheduler, Optional<Boolean> karras, Optional<String> notHonoured) {
  private static final String KARRAS = "karras";
  private static final String AUTOMATIC = "automatic";

  /** Other spellings, without blanks and marks, that programs use for the same methods. */
  private static final Map<String, Scheduler> OTHERS =
      Map.of(
          "unipcbh2", Scheduler.UNIPC,
          "euleranc", Scheduler.EULER_ANCESTRAL,
          "eulerancestral", Scheduler.EULER_ANCESTRAL,
          "dpmpp2m", Scheduler.DPMPP_2M,
          "dpm++multistep", Scheduler.DPMPP_2M,
          "dpmsolver++", Scheduler.DPMPP_2M,
          "dpmsolvermultistep", Scheduler.DPMPP_2M);

  /** That spread noise levels; Karras et al. say how. */
  private static final Set<Scheduler> BY_SIGMAS =
      Set.of(Scheduler.EULER, Scheduler.EULER_ANCESTRAL, Scheduler.DPMPP_2M, Scheduler.UNIPC);

  /** What leaves the noise levels as the method has them. */
  private static final Set<String> PLAIN = Set.of("", AUTOMATIC, "uniform", "normal", "default");

  private static final List<String> SCHEDULES =
      List.of(
          KARRAS,
          "polyexponential",
          "exponential",
          "sgmuniform",
          "ddimuniform",
          "simple",
          "beta",
          "turbo",
          "alignyoursteps",
          "kloptimal");

  /** What web UIs call a sampler. */
  static String name(Scheduler scheduler) {
    return switch (scheduler) {
      case UNIPC -> "UniPC";
      case EULER -> "Euler";
      case EULER_ANCESTRAL -> "Euler a";
      case DPMPP_2M -> "DPM++ 2M";
      case LCM, DDIM, DDPM -> scheduler.name();
    };
  }

  /**
   * @param name of the sampler
   * @param type of the schedule; may be empty
   * @throws IllegalArgumentException if this library does not have the sampler
   */
  static WebSampler of(String name, String type) {
    String sampler = plain(name);
    String schedule = plain(type);
    for (String suffix : SCHEDULES) {
      if (method(sampler).isEmpty() && sampler.endsWith(suffix)) {
        sampler = sampler.substring(0, sampler.length() - suffix.length());
        schedule = suffix;
      }
    }
    Scheduler scheduler =
        method(sampler)
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        "Sampler: expected one of "
                            + Arrays.stream(Scheduler.values())
                                .map(WebSampler::name)
                                .collect(Collectors.joining(", "))
                            + ", found "
                            + name
                            + "; choose one with the scheduler option"));
    // The web UI draws this one sampler with Karras's levels unless told otherwise.
    boolean karras =
        schedule.equals(KARRAS) || schedule.equals(AUTOMATIC) && scheduler == Scheduler.DPMPP_2M;
    if (karras && BY_SIGMAS.contains(scheduler)) {
      return new WebSampler(scheduler, Optional.of(true), Optional.empty());
    }
    return new WebSampler(
        scheduler,
        Optional.empty(),
        PLAIN.contains(schedule) ? Optional.empty() : Optional.of(schedule));
  }

  private static String plain(String name) {
    return name.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9+]", "");
  }

  private static Optional<Scheduler> method(String plain) {
    String name = plain.matches("k(euler|dpm|lcm|ddim|unipc).*") ? plain.substring(1) : plain;
    return Arrays.stream(Scheduler.values())
        .filter(s -> plain(name(s)).equals(name))
        .findFirst()
        .or(() -> Optional.ofNullable(OTHERS.get(name)));
  }
}
