package dev.longalign.cli;

import dev.longalign.LongAlign;
import dev.longalign.LongAlignBuilder;
import dev.longalign.LongAlignException;
import dev.longalign.PictureSettings;
import dev.longalign.SampleRequest;
import dev.longalign.SampleRequestBuilder;
import dev.longalign.Splitter;
import dev.longalign.io.PictureFile;
import dev.longalign.io.TextFile;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import picocli.CommandLine;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;

/** What to sample; every option is a setting of {@link SampleRequest}. */
final class RequestOptions extends SamplerOptions {
  private static final Map<String, String> OPTIONS =
      Map.of(
          "steps", "--steps",
          "guidanceScale", "--guidance",
          "seed", "--seed",
          "images", "--images",
          "batchSize", "--batch",
          "width", "--width",
          "height", "--height",
          "strength", "--strength",
          "eta", "--eta");

  @Parameters(
      arity = "0..1",
      paramLabel = "PROMPT",
      description = "The prompt, of any length; - reads it from standard input.")
  String prompt;

  @Option(
      names = "--prompt-file",
      paramLabel = "FILE",
      description = "One prompt a line (UTF-8; blank lines are skipped), one picture each.")
  Path promptFile;

  @Option(
      names = "--from-png",
      paramLabel = "FILE",
      description =
          "Repeat the settings inside a picture; other options change them. Model, LoRAs and"
              + " adapter are found by their hashes where this machine has used them, and beside the"
              + " picture; what differs is said on stderr.")
  Path fromPng;

  @Option(names = "--negative", paramLabel = "TEXT", description = "What to move away from.")
  String negative;

  @Option(
      names = "--images",
      description = "Pictures a prompt, with consecutive seeds. Default: 1.")
  Integer images;

  @Option(names = "--width", description = "Pixels, a multiple of 8. Default: the model's own.")
  Integer width;

  @Option(names = "--height", description = "Pixels, a multiple of 8. Default: the model's own.")
  Integer height;

  @Option(
      names = "--init-image",
      paramLabel = "FILE",
      description = "Start from this picture (PNG, JPEG, WebP) instead of noise.")
  Path initImage;

  @Option(
      names = "--strength",
      description = "How much of the init image to replace, up to 1. Default: 0.8.")
  Float strength;

  @Option(
      names = "--splitter",
      description = "How prompts are cut, one of: ${COMPLETION-CANDIDATES}. Default: reference.")
  Splitter splitter;

  @Option(
      names = "--strict",
      description =
          "Fail if a token of the prompt would be cut, or if a picture to repeat might look"
              + " otherwise.")
  boolean strict;

  /** What --from-png says, once it has been read. */
  private PictureSettings earlier;

  /** Whether there may be many prompts, so that pictures are numbered. */
  boolean numbered() {
    return promptFile != null;
  }

  /**
   * One request a prompt.
   *
   * @param command that is told what is wrong with the options
   * @param bestOf how many pictures a prompt there are to choose from, or null
   * @throws ParameterException if the options contradict each other or a value is out of range
   */
  List<SampleRequest> requests(CommandLine command, Integer bestOf) {
    try {
      if (bestOf != null && images != null) {
        throw new IllegalArgumentException("expected --images or --best-of, found both");
      } else if (bestOf != null) {
        images = bestOf;
      }
      return requests(base());
    } catch (IllegalArgumentException e) {
      throw new ParameterException(command, option(e.getMessage()), e);
    }
  }

  /** The library names settings; what was written is an option. */
  private static String option(String message) {
    int colon = message.indexOf(':');
    String name = OPTIONS.get(colon < 0 ? "" : message.substring(0, colon));
    return name == null ? message : name + message.substring(colon);
  }

  private List<SampleRequest> requests(SampleRequestBuilder builder) {
    if (promptFile != null) {
      return prompts().stream().map(text -> builder.prompt(text).build()).toList();
    }
    return List.of(builder.build());
  }

  private SampleRequestBuilder base() {
    if (prompt == null && promptFile == null && fromPng == null) {
      throw new IllegalArgumentException(
          "expected a prompt, --prompt-file or --from-png, found none of them");
    } else if (prompt != null && promptFile != null) {
      throw new IllegalArgumentException("expected a prompt or --prompt-file, found both");
    }
    SampleRequestBuilder said = said();
    if (fromPng == null) {
      return said;
    }
    earlier = PictureSettings.read(fromPng, said);
    if (earlier.fromInitImage() && initImage == null) {
      throw new IllegalArgumentException(
          fromPng + ": made from another picture, which is not inside; give it with --init-image");
    }
    return earlier.request().toBuilder();
  }

  /** What the options say; the rest is for a picture's settings or the defaults. */
  private SampleRequestBuilder said() {
    SampleRequestBuilder builder = SampleRequest.builder();
    apply(builder);
    set(negative, builder::negativePrompt);
    set(images, builder::images);
    set(width, builder::width);
    set(height, builder::height);
    set(strength, builder::strength);
    set(splitter, builder::splitter);
    if (strict) {
      builder.strict(true);
    }
    if (initImage != null) {
      builder.initImage(PictureFile.readRgb(initImage));
    } else if (strength != null && fromPng == null) {
      throw new IllegalArgumentException("--strength: expected --init-image with it, found none");
    }
    set(prompt, text -> builder.prompt(StandardInput.orText(text)));
    return builder;
  }

  /** An engine for the requests: with --from-png, like the one that made the picture. */
  LongAlign open(EngineOptions with, CommonOptions common) {
    LongAlignBuilder builder = with.builder(common);
    if (earlier != null && earlier.provenance().isPresent()) {
      Path beside = fromPng.toAbsolutePath().getParent();
      builder.like(earlier.provenance().get(), beside, Path.of(""));
    }
    return builder.build();
  }

  /**
   * Says why a repeated picture may look otherwise.
   *
   * @throws LongAlignException with --strict, if there is a reason
   */
  void compare(LongAlign longAlign, SampleRequest request, CommonOptions common) {
    List<String> differences =
        earlier == null ? List.of() : earlier.differences(request, longAlign.provenance());
    if (strict && !differences.isEmpty()) {
      throw new LongAlignException(
          fromPng
              + ": the picture might look otherwise (--strict): "
              + String.join("; ", differences));
    }
    differences.forEach(line -> common.say("longalign: " + fromPng + ": " + line));
  }

  private List<String> prompts() {
    List<String> prompts =
        TextFile.lines(promptFile).stream().filter(line -> !line.isBlank()).toList();
    if (prompts.isEmpty()) {
      throw new LongAlignException(
          "--prompt-file " + promptFile + ": expected a prompt a line, found none");
    }
    return prompts;
  }
}
