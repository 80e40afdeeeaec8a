package dev.longalign.cli;

import dev.longalign.LongAlign;
import dev.longalign.LongAlignException;
import dev.longalign.ProgressListener;
import dev.longalign.Provenance;
import dev.longalign.SampleCall;
import dev.longalign.SampleRequest;
import dev.longalign.SampleResult;
import dev.longalign.SampleStep;
import dev.longalign.SampleTimings;
import dev.longalign.data.panels.PanelsWorld;
import dev.longalign.io.PictureFile;
import dev.longalign.text.EncodingReport;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicReference;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.TypeConversionException;

/** {@code longalign sample}: from prompts to PNG files. */
@Command(
    name = "sample",
    sortOptions = false,
    abbreviateSynopsis = true,
    description =
        "Samples pictures from prompts of any length. The settings travel inside the PNG.",
    footer = {
      "",
      "Examples:",
      "  longalign sample \"A long prompt. With many sentences.\" --out out.png",
      "  longalign sample --prompt-file prompts.txt --out pictures \\",
      "    --model stable-diffusion-v1-5 --t5 t5-large \\",
      "    --adapter s28750_adapter \\",
      "    --lora s28750_lora_vis.pt --lora sd15-reward-3750.pt",
      "  longalign sample --from-png out.png --seed 43 --out other.png",
      "  longalign sample --prompt-file prompts.txt --best-of 4 --by worst-sentence"
    })
final class SampleCommand implements Callable<Integer> {
  @Mixin CommonOptions common;

  @ArgGroup(validate = false, heading = "What:%n")
  RequestOptions what = new RequestOptions();

  @ArgGroup(validate = false, heading = "With:%n")
  EngineOptions with = new EngineOptions();

  @ArgGroup(validate = false, heading = "Choosing:%n")
  BestOfOptions bestOf = new BestOfOptions();

  @ArgGroup(validate = false, heading = "Choosing by:%n")
  ScorerOptions scorer = new ScorerOptions();

  @Option(
      names = "--out",
      paramLabel = "FILE|DIR",
      description =
          "A PNG, or a directory for 00.png, 01.png, ...; each is written when it is done, and"
              + " replaces what has its name. Default: out.png, for several out/.")
  String out;

  @Option(
      names = "--preview",
      paramLabel = "FILE",
      description = "Write what the picture looks like so far to this PNG after every step.")
  Path preview;

  private String incomplete;

  /** One picture, as {@code --json} prints it. */
  private record Picture(
      Path file,
      long seed,
      SampleRequest request,
      Provenance provenance,
      SampleTimings timings,
      double secondsPerStep,
      boolean complete,
      Map<EncodingReport.Cut, Integer> lost,
      Optional<BestOfOptions.Choice> bestOf) {}

  @Override
  public Integer call() {
    List<SampleRequest> requests = what.requests(common.spec.commandLine(), bestOf.count);
    int pictures =
        bestOf.active() ? requests.size() : requests.stream().mapToInt(SampleRequest::images).sum();
    OutputTarget target = target(pictures);
    hints(requests);
    AtomicReference<SampleCall> running = new AtomicReference<>();
    Thread samples = Thread.currentThread();
    try (Signals.Work work = common.cancellable(() -> cancel(running.get(), samples));
        LongAlign longAlign = what.open(with, common);
        Scoring scoring = bestOf.active() ? openScorer() : null) {
      what.compare(longAlign, requests.get(0), common);
      int[] index = {0};
      for (int i = 0; i < requests.size(); i++) {
        String task =
            requests.size() == 1 ? "sampling" : "prompt " + (i + 1) + "/" + requests.size();
        try (Bar bar = new Bar(task)) {
          SampleCall call = longAlign.newCall(requests.get(i), bar);
          running.set(call);
          common.check(); // a signal from here on cancels the call
          if (scoring != null) {
            SampleResult result = call.execute();
            Optional<BestOfOptions.Choice> choice = Optional.of(bestOf.choose(scoring, result));
            int best = choice.get().index();
            Path file = target.file(index[0]++);
            result.save(best, file);
            report(result, best, file, choice);
          } else {
            call.execute(
                picture -> {
                  Path file = target.file(index[0]++);
                  picture.save(file);
                  report(picture, 0, file, Optional.empty());
                });
          }
        }
      }
    }
    return ExitCode.OK;
  }

  private OutputTarget target(int pictures) {
    try {
      return OutputTarget.of(out, what.numbered(), pictures);
    } catch (IllegalArgumentException | TypeConversionException e) {
      throw new ParameterException(common.spec.commandLine(), e.getMessage(), e);
    }
  }

  /** What is allowed, but hardly meant. */
  private void hints(List<SampleRequest> requests) {
    if (requests.stream().anyMatch(request -> request.prompt().isBlank())) {
      common.say("longalign: the prompt is empty; the picture will be of anything");
    } else if (with.model == null
        && with.loras.isEmpty()
        && requests.stream().noneMatch(request -> namesAShape(request.prompt()))) {
      common.say(
          "longalign: the small model in the jar draws nothing but coloured shapes ("
              + String.join(", ", PanelsWorld.SHAPES)
              + "); for other pictures give a --model");
    }
  }

  private static boolean namesAShape(String prompt) {
    return PanelsWorld.SHAPES.stream().anyMatch(prompt.toLowerCase(Locale.ROOT)::contains);
  }

  /** The scorer in the jar knows only the world of the model in the jar. */
  private Scoring openScorer() {
    if (scorer.scorer == null && with.model != null) {
      Path own = with.model.resolve("denscore");
      if (!Files.isDirectory(own)) {
        throw new LongAlignException(
            "--best-of: expected a preference model that knows what "
                + with.model
                + " draws, found none in it; name one with --scorer");
      }
      scorer.scorer = own;
    }
    return Scoring.open(scorer, with.on.threads, with.on.device);
  }

  /** A call ends after its step; before there is one, what is being loaded is given up. */
  private static void cancel(SampleCall call, Thread samples) {
    if (call != null) {
      call.cancel();
    } else {
      samples.interrupt();
    }
  }

  private void report(
      SampleResult result, int image, Path file, Optional<BestOfOptions.Choice> choice) {
    EncodingReport encoding = result.encoding();
    if (!encoding.isComplete() && !encoding.caption().equals(incomplete)) {
      incomplete = encoding.caption(); // once a prompt
      common.say("longalign: " + encoding.summary());
    }
    SampleTimings timings = result.timings();
    long seed = result.seeds().get(image);
    if (common.json) {
      common.printJson(
          new Picture(
              file,
              seed,
              result.request().toBuilder().seeds(List.of(seed)).build(),
              result.provenance(),
              timings,
              timings.secondsPerStep(),
              encoding.isComplete(),
              encoding.losses(),
              choice));
    } else {
      common
          .out()
          .printf(
              Locale.ROOT,
              "%s  seed %d  %.1f s (%.2f s a step)%n",
              file,
              seed,
              timings.total().toNanos() * 1e-9,
              timings.secondsPerStep());
      choice.ifPresent(this::print);
      common.out().flush();
    }
  }

  private void print(BestOfOptions.Choice choice) {
    for (BestOfOptions.Choice.Candidate candidate : choice.scores()) {
      common
          .out()
          .printf(
              Locale.ROOT,
              "  seed %d  %s %.4f  misses most: %s%n",
              candidate.seed(),
              choice.by(),
              candidate.value(),
              candidate.worst().text().strip());
    }
  }

  /** Opens the bar at the first step, when their number is known. */
  private final class Bar implements ProgressListener, AutoCloseable {
    private final String task;
    private Progress progress;
    private boolean previewFailed;

    private Bar(String task) {
      this.task = task;
    }

    @Override
    public void onStart(SampleRequest request) {
      common.stage("encoding the prompt");
    }

    @Override
    public void onStep(SampleStep step) {
      if (progress == null) {
        progress = common.progress(task, step.of());
      }
      progress.stepTo(step.number());
      if (preview != null && !previewFailed) {
        try {
          PictureFile.writePng(preview, step.preview(), Map.of());
        } catch (LongAlignException e) {
          previewFailed = true; // said once; the picture itself matters more
          common.say("longalign: no more previews: " + e.getMessage());
        }
      }
    }

    @Override
    public void onTiles(String message) {
      common.err().println("longalign: " + message);
      common.err().flush();
    }

    @Override
    public void close() {
      if (progress != null) {
        progress.close();
      }
    }
  }
}
