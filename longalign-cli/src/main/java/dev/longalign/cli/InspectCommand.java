package dev.longalign.cli;

import dev.longalign.LongAlignException;
import dev.longalign.PictureSettings;
import dev.longalign.Provenance;
import dev.longalign.io.ComponentDirectory;
import dev.longalign.io.Names;
import dev.longalign.io.PictureFile;
import dev.longalign.io.ShellCommand;
import dev.longalign.model.Lora;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code longalign inspect}: what is this, and what is missing. */
@Command(
    name = "inspect",
    sortOptions = false,
    description =
        "Tells what a model directory, a part of one, a LoRA or weights file, a training run, a"
            + " checkpoint, training data, a feature cache or a picture is, and what is missing.")
final class InspectCommand implements Callable<Integer> {
  private static final List<String> PICTURES = List.of(".png", ".jpg", ".jpeg");

  private static final int MAX_TEXT = 8000;

  @Mixin CommonOptions common;

  @Parameters(
      arity = "1..*",
      paramLabel = "PATH",
      description = "Directories, .safetensors, .pt, .bin, .ckpt, .png files.")
  List<Path> paths;

  /** As {@code --json} prints a picture: its settings, and every text chunk as it stands. */
  private record PictureReport(
      String what,
      Path file,
      int width,
      int height,
      Optional<PictureSettings> settings,
      Map<String, String> texts) {}

  private record WeightsReport(String what, WeightsSummary weights) {}

  private record ModelReport(String what, ModelSummary model) {}

  private record Unreadable(String what, Path path, String error) {}

  @Override
  public Integer call() throws IOException {
    boolean whole = true;
    for (Path path : paths) {
      try {
        whole &= inspect(path);
      } catch (LongAlignException | IllegalArgumentException | IOException bad) {
        if (paths.size() == 1) {
          throw bad;
        }
        tell(path, bad); // and go on: the others may be fine
        whole = false;
      }
    }
    return whole ? ExitCode.OK : ExitCode.FAILED;
  }

  private void tell(Path path, Exception bad) {
    String message = Failures.message(bad);
    common.err().println("longalign: " + message);
    common.err().flush();
    if (common.json) {
      common.printJson(new Unreadable("unreadable", path, message));
    }
  }

  private boolean inspect(Path path) throws IOException {
    if (Files.isDirectory(path)) {
      return directory(path);
    } else if (!Files.exists(path)) {
      throw new LongAlignException(
          path
              + ": expected a model directory, a weights file or a PNG, found nothing; check the path");
    }
    String name = path.getFileName().toString().toLowerCase(Locale.ROOT);
    if (PICTURES.stream().anyMatch(name::endsWith) || PictureFile.isPicture(path)) {
      picture(path);
    } else {
      weights(path);
    }
    return true;
  }

  private boolean directory(Path path) throws IOException {
    if (Files.exists(path.resolve("model_index.json"))) {
      ModelSummary summary = ModelSummary.of(path);
      if (common.json) {
        common.printJson(new ModelReport("model", summary));
      } else {
        summary.print(common.out());
        common.out().flush();
      }
      return summary.readable();
    } else if (Files.exists(path.resolve("config.json"))) {
      weights(
          ComponentDirectory.open(path)
              .weightsFile()
              .orElseThrow(
                  () ->
                      new LongAlignException(
                          path
                              + ": expected weights beside config.json, found none; an incomplete"
                              + " download?")));
      return true;
    } else if (Lora.isDirectory(path)) {
      weights(Lora.file(path));
      return true;
    }
    DirectorySummary summary = DirectorySummary.of(path);
    if (common.json) {
      common.printJson(summary);
    } else {
      summary.print(common.out());
      common.out().flush();
    }
    return true;
  }

  private void weights(Path file) {
    WeightsSummary summary = WeightsSummary.of(file);
    if (common.json) {
      common.printJson(new WeightsReport("weights", summary));
    } else {
      summary.print(common.out());
      common.out().flush();
    }
  }

  private void picture(Path file) {
    PictureFile.Info image = PictureFile.info(file);
    Map<String, String> texts = image.texts();
    Optional<PictureSettings> settings = Optional.empty();
    String unreadable = "";
    try {
      settings = Optional.of(PictureSettings.read(file));
    } catch (LongAlignException e) {
      unreadable = e.getMessage();
    }
    if (common.json) {
      common.printJson(
          new PictureReport("picture", file, image.width(), image.height(), settings, texts));
      return;
    }
    PrintWriter out = common.out();
    out.println(file + ": picture, " + image.width() + " x " + image.height());
    settings.ifPresent(found -> print(found, file, out));
    if (!unreadable.isEmpty()) {
      out.println(unreadable);
    }
    texts.forEach(
        (keyword, text) ->
            out.println(
                "[" + Names.printable(keyword) + "]\n" + Names.printableText(text, MAX_TEXT)));
    out.flush();
  }

  private static void print(PictureSettings settings, Path file, PrintWriter out) {
    settings
        .provenance()
        .ifPresent(
            made -> {
              out.println("made by " + Names.printable(made.software()));
              print("model", made.model(), "", out);
              made.adapter().ifPresent(part -> print("adapter", part, "", out));
              made.t5().ifPresent(part -> print("T5", part, "", out));
              made.loras()
                  .forEach(lora -> print("LoRA", lora.file(), ", scale " + lora.scale(), out));
            });
    settings.notHonoured().forEach(line -> out.println("  " + line));
    RepeatCommand command = new RepeatCommand(settings, file);
    String shortly = new ShellCommand("longalign", "sample", "--from-png").add(file).toString();
    out.println("repeat it with: " + CommonOptions.pasteable(shortly));
    out.println("or, every setting by itself: " + CommonOptions.pasteable(command.toString()));
    command.notFound().forEach(line -> out.println("  in place of " + line));
  }

  private static void print(String what, Provenance.Part part, String more, PrintWriter out) {
    out.printf(
        Locale.ROOT,
        "  %-8s %s%s, %s%n",
        what,
        Names.printable(part.name()),
        more,
        part.sha256().map(hash -> "SHA-256 " + hash).orElse("no hash noted"));
  }
}
