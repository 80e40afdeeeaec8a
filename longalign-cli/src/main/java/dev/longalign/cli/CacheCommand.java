package dev.longalign.cli;

import dev.longalign.EmbeddedModel;
import dev.longalign.data.CaptionPolicy;
import dev.longalign.data.ParquetColumns;
import dev.longalign.data.Skip;
import dev.longalign.data.SkipReport;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.training.CacheSettings;
import dev.longalign.training.FeatureCaching;
import dev.longalign.training.PictureEncoder;
import dev.longalign.training.RunConfig;
import dev.longalign.training.Stage;
import dev.longalign.training.TrainingData;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code longalign cache}: encodes training data once. */
@Command(
    name = "cache",
    sortOptions = false,
    abbreviateSynopsis = true,
    description = {
      "Encodes pictures and captions once, for many trainings: latents (mean and deviation), CLIP's"
          + " and T5's states. Training then takes cache:DIR as its data. Run again, it continues"
          + " what was interrupted (all but the last minute, even of a process that was killed), and"
          + " checks what is complete."
    },
    footer = {
      "",
      "Examples:",
      "  longalign cache --data panels:long:1000 --out cache",
      "  longalign cache --data pictures --model stable-diffusion-v1-5 --t5 t5-large --storage f16"
          + " --out cache"
    })
final class CacheCommand implements Callable<Integer> {
  @Mixin CommonOptions common;

  @Option(
      names = "--data",
      paramLabel = "DATA",
      description =
          "panels[:long|short|mixed]:COUNT, a directory of pictures with captions, .tar shards or"
              + " .parquet files.")
  String data;

  @Option(
      names = "--config",
      paramLabel = "FILE",
      description = "Takes data and resolution from the config of a training instead.")
  Path config;

  @Option(
      names = "--stage",
      paramLabel = "STAGE",
      defaultValue = "align",
      description = "Of that training: align, lcm, reward or reward-lcm. Default: align.")
  String stage;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "DIR",
      description = "The cache's directory.")
  Path out;

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "Whose encoders compute. Default: the small model in the jar.")
  Path model;

  @Option(names = "--t5", paramLabel = "DIR", description = "T5's tokenizer and encoder.")
  Path t5;

  @Option(
      names = "--resolution",
      paramLabel = "PIXELS",
      description = "Side of the pictures. Default: the model's own.")
  Integer resolution;

  @Option(
      names = "--storage",
      paramLabel = "TYPE",
      defaultValue = "f32",
      description = "f32, or f16 for half of the size. Default: f32.")
  String storage;

  @Option(
      names = "--pictures",
      paramLabel = "DIR",
      description = "Where the pictures lie that Parquet files name. Default: beside them.")
  Path pictures;

  @Option(names = "--caption-column", description = "Of Parquet files. Default: caption.")
  String captionColumn = ParquetColumns.PATHS.caption();

  @Option(names = "--picture-column", description = "Of Parquet files. Default: path.")
  String pictureColumn = ParquetColumns.PATHS.picture();

  @Option(names = "--caption-key", description = "Of JSON files beside pictures.")
  String captionKey = TrainingData.Options.DEFAULT.captionKey();

  @Option(names = "--keep-empty", description = "Use pictures without caption, too.")
  boolean keepEmpty;

  @Option(names = "--seed", description = "Of the panels. Default: 0.")
  long seed;

  @Option(names = "--batch", description = "Pictures that are encoded at once. Default: 1.")
  int batch = 1;

  @Mixin DeviceOption on;

  /** What is printed at the end. */
  record Result(
      Path directory,
      boolean complete,
      long examples,
      long computed,
      long skipped,
      List<Skip> named,
      long shortenedCaptions) {}

  @Override
  public Integer call() {
    CacheSettings settings =
        CacheSettings.DEFAULT.withStorage(dtype()).withBatchSize(batch).withResolution(side());
    ModelFiles files =
        ModelFiles.find(
            model == null ? EmbeddedModel.directory() : model, null, t5, List.of(), false);
    FeatureCaching caching = new FeatureCaching(source(), files, settings, out);
    FeatureCaching.Report report;
    common.stage("loading model");
    try (Signals.Work work = common.interruptible();
        Backend backend = on.open();
        PictureEncoder encoder = new PictureEncoder(on.encoders(), files, backend, on.threads)) {
      report = compute(caching, encoder);
    }
    print(report);
    return ExitCode.OK;
  }

  private FeatureCaching.Report compute(FeatureCaching caching, PictureEncoder encoder) {
    Progress[] progress = {null}; // the total is known once the data is open
    try {
      return caching.run(
          encoder,
          new FeatureCaching.Listener() {
            @Override
            public void onProgress(long done, long total) {
              if (progress[0] == null) {
                progress[0] = common.progress("cache", total);
                progress[0].startAt(done);
                if (done > 0) {
                  progress[0].say("continuing after " + done + " of " + total + " examples");
                }
              }
              progress[0].stepTo(done);
            }

            @Override
            public void onSkip(Skip skip) {
              progress[0].say("skipped: " + skip.reason());
            }
          });
    } finally {
      if (progress[0] != null) {
        progress[0].close();
      }
    }
  }

  private TrainingData source() {
    if ((data == null) == (config == null)) {
      throw new IllegalArgumentException(
          "expected one of --data and --config, found " + (data == null ? "none" : "both"));
    }
    if (config != null) {
      return run().data();
    }
    TrainingData.Options options =
        TrainingData.Options.DEFAULT
            .withSeed(seed)
            .withPictures(pictures)
            .withColumns(new ParquetColumns(captionColumn, pictureColumn))
            .withCaptionKey(captionKey)
            .withCaptions(new CaptionPolicy(keepEmpty, CaptionPolicy.DEFAULT.maxWords()));
    return TrainingData.parse(data, Path.of(""), options);
  }

  private RunConfig run() {
    Stage trained =
        Stage.of(stage)
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        "--stage: expected align, lcm, reward or reward-lcm, found " + stage));
    return RunConfig.read(config, trained);
  }

  private int side() {
    if (resolution != null) {
      return resolution;
    }
    return config == null ? 0 : run().resolution();
  }

  private DType dtype() {
    if (!storage.matches("(?i)f32|f16")) {
      throw new IllegalArgumentException("--storage: expected f32 or f16, found " + storage);
    }
    return DType.valueOf(storage.toUpperCase(Locale.ROOT));
  }

  private void print(FeatureCaching.Report report) {
    SkipReport examples = report.examples();
    if (!report.complete()) {
      throw new Signals.Cancelled(
          out + " has " + examples.loaded() + " examples; run it again to continue");
    }
    if (common.json) {
      common.printJson(
          new Result(
              out,
              true,
              examples.loaded(),
              report.computed(),
              examples.skipped(),
              examples.named(),
              report.shortened()));
      return;
    }
    common
        .out()
        .printf(
            Locale.ROOT,
            "%,d examples in %s (%,d encoded now, %,d captions cut), %,d skipped; train with data:"
                + " cache:%s%n",
            examples.loaded(),
            out,
            report.computed(),
            report.shortened(),
            examples.skipped(),
            out);
    common.out().flush();
  }
}
