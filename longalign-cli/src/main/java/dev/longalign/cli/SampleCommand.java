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
      "  longalign sample --model stable-diffusion-v1-5 --adapter s28750_adapter --t5 t5-large \\",
      "      --lora s28750_lora_vis.pt --lora sd15-reward-3750.pt --prompt-file prompts.txt --out pictures",
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
          "A PNG, or a directory for 00.png, 01.png, ... Default: out.png, for several out/.")
  String out;

  @Option(
      names = "--preview",
      paramLabel = "FILE",
      description = "Write what the picture looks like so far to this PNG after every step.")
  Path preview;

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
    OutputTarget target = OutputTarget.of(out, what.numbered(), pictures);
    AtomicReference<SampleCall> running = new AtomicReference<>();
    // The hook is there before the model is: loading a large one takes a while too.
    try (CancelOnInterrupt interrupt = new CancelOnInterrupt(() -> cancel(running));
        LongAlign longAlign = what.open(with);
        Scoring scoring = bestOf.active() ? openScorer() : null) {
      what.compare(longAlign, requests.get(0), common.err());
      int index = 0;
      for (int i = 0; i < requests.size(); i++) {
        interrupt.check();
        String task =
            requests.size() == 1 ? "sampling" : "prompt " + (i + 1) + "/" + requests.size();
        SampleResult result = sample(longAlign, requests.get(i), task, running);
        if (scoring != null) {
          BestOfOptions.Choice choice = bestOf.choose(scoring, result);
          Path file = save(result, choice.index(), target.file(index++));
          report(result, choice.index(), file, Optional.of(choice));
          continue;
        }
        for (int image = 0; image < result.images().size(); image++) {
          report(result, image, save(result, image, target.file(index++)), Optional.empty());
        }
      }
    }
    return ExitCode.OK;
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

  private void cancel(AtomicReference<SampleCall> running) {
    common.err().println("longalign: cancelled; the step under way ends first");
    common.err().flush();
    SampleCall call = running.get();
    if (call != null) {
      call.cancel();
    }
  }

  private SampleResult sample(
      LongAlign longAlign,
      SampleRequest request,
      String task,
      AtomicReference<SampleCall> running) {
    try (Bar bar = new Bar(task)) {
      SampleCall call = longAlign.newCall(request, bar);
      running.set(call);
      return call.execute();
    }
  }

  private static Path save(SampleResult result, int image, Path file) {
    result.save(image, file);
    return file;
  }

  private void report(
      SampleResult result, int image, Path file, Optional<BestOfOptions.Choice> choice) {
    EncodingReport encoding = result.encoding();
    if ((image == 0 || choice.isPresent()) && !encoding.isComplete()) {
      common.err().println("longalign: " + encoding.summary());
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
          common.err().println("longalign: no more previews: " + e.getMessage());
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
