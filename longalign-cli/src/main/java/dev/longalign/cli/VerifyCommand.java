package dev.longalign.cli;

import dev.longalign.cli.verify.AreaSummary;
import dev.longalign.cli.verify.CaseResult;
import dev.longalign.cli.verify.CaseResult.Status;
import dev.longalign.cli.verify.Verifier;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code longalign verify}: this implementation against recorded values of the reference. */
@Command(
    name = "verify",
    sortOptions = false,
    description = {
      "Runs every case of a directory of golden vectors against this implementation, in f32, and"
          + " prints its largest error per unit of the tensor's largest magnitude, the error allowed"
          + " there and the verdict. Fails if one of the cases does; what is skipped fails nothing.",
      "",
      "Allowed are 1e-4 of the largest magnitude, 1e-3 from a prompt to its picture (of each step by"
          + " itself) and for gradients; 1e-5, absolute, for losses and for parameters after optimiser"
          + " steps; but never less than 8 times the float64_max_abs_diff that the vectors state;"
          + " 1 for bytes of pictures; 5e-3 for weights that are stored a second time in half"
          + " precision. Texts, token ids and what files hold must be equal.",
      ""
    })
final class VerifyCommand implements Callable<Integer> {
  @Mixin CommonOptions common;
  @Spec CommandSpec spec;

  @Parameters(paramLabel = "DIR", description = "The golden directory.")
  Path directory;

  @Option(
      names = "--only",
      split = ",",
      paramLabel = "AREA[/FILE[.CASE]]",
      description = "Run these only; may be repeated. For example: unet, sample/lcm.")
  Set<String> only = new LinkedHashSet<>();

  @Mixin DeviceOption on;

  /** The report as {@code --json} prints it. */
  private record Report(
      Path directory,
      String device,
      boolean ok,
      long passed,
      long failed,
      long skipped,
      double seconds,
      List<AreaSummary> areas,
      List<CaseResult> cases) {}

  @Override
  public Integer call() {
    long start = System.nanoTime();
    Verifier verifier = new Verifier(directory, on.device, on.threads);
    List<CaseResult> results;
    try (Signals.Work work = common.interruptible()) {
      results = verifier.run(only, this::show);
    }
    if (results.isEmpty()) {
      throw new ParameterException(
          spec.commandLine(),
          "--only "
              + String.join(",", only)
              + ": no case of "
              + directory
              + " matches; areas: "
              + String.join(", ", verifier.areas()));
    }
    List<AreaSummary> areas = AreaSummary.of(results);
    long passed = AreaSummary.count(results, Status.PASS);
    long failed = AreaSummary.count(results, Status.FAIL);
    long skipped = AreaSummary.count(results, Status.SKIP);
    // A directory in which nothing could be compared has shown nothing.
    boolean ok = failed == 0 && passed > 0;
    double seconds = (System.nanoTime() - start) * 1e-9;
    if (common.json) {
      common.printJson(
          new Report(
              directory,
              on.device.toString(),
              ok,
              passed,
              failed,
              skipped,
              seconds,
              areas,
              results));
    } else {
      print(areas);
      common
          .out()
          .printf(
              Locale.ROOT,
              "%s: %d passed, %d failed, %d skipped (%.1f s)%n",
              ok ? "PASS" : "FAIL",
              passed,
              failed,
              skipped,
              seconds);
      common.out().flush();
    }
    return ok ? ExitCode.OK : ExitCode.FAILED;
  }

  private void show(CaseResult result) {
    common.check();
    if (!common.json) {
      print(result);
    }
  }

  private void print(CaseResult result) {
    PrintWriter out = common.out();
    String errors =
        result.error() == null
            ? ""
            : String.format(Locale.ROOT, "%.1e of %.1e", result.error(), result.tolerance());
    out.printf(Locale.ROOT, "%-4s  %-64s %s%n", result.status(), result.path(), errors);
    if (result.message() != null) {
      out.println("      " + result.message());
    }
    out.flush();
  }

  private void print(List<AreaSummary> areas) {
    PrintWriter out = common.out();
    out.printf(
        Locale.ROOT,
        "%n%-12s %6s %6s %7s %8s  %s%n",
        "area",
        "passed",
        "failed",
        "skipped",
        "seconds",
        "nearest to its tolerance");
    for (AreaSummary area : areas) {
      out.printf(
          Locale.ROOT,
          "%-12s %6d %6d %7d %8.1f  %s%n",
          area.area(),
          area.passed(),
          area.failed(),
          area.skipped(),
          area.seconds(),
          area.error() == null
              ? "nothing compared"
              : String.format(
                  Locale.ROOT, "%.1e of %.1e in %s", area.error(), area.tolerance(), area.worst()));
    }
  }
}
