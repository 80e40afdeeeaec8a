package dev.longalign.cli;

import dev.longalign.cli.Check.Status;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code longalign doctor}: what this machine has, and exactly what is missing. */
@Command(
    name = "doctor",
    sortOptions = false,
    description =
        "Shows CPU features, memory, native libraries and what a GPU would need; fails only if"
            + " sampling on the CPU cannot work.")
final class DoctorCommand implements Callable<Integer> {
  @Mixin CommonOptions common;

  /** The report as {@code --json} prints it. */
  private record Report(String version, boolean ok, List<Check> checks) {}

  @Override
  public Integer call() {
    List<Check> checks = new ArrayList<>(new HostChecks().all());
    checks.addAll(LibraryChecks.all());
    checks.addAll(new GpuChecks(LoaderPaths.ofThisMachine(System.getenv())).all());
    boolean ok = checks.stream().noneMatch(check -> check.status() == Status.FAILED);
    if (common.json) {
      common.printJson(new Report(Version.ofProject(), ok, checks));
    } else {
      print(checks, ok);
    }
    return ok ? ExitCode.OK : ExitCode.FAILED;
  }

  private void print(List<Check> checks, boolean ok) {
    common.out().println("longalign " + Version.ofProject());
    String area = "";
    for (Check check : checks) {
      if (!check.area().equals(area)) {
        area = check.area();
        common.out().println(area);
      }
      String status = check.status().name().toLowerCase(Locale.ROOT);
      common.out().printf(Locale.ROOT, "  %-7s  %-18s %s%n", status, check.name(), check.found());
      if (check.remedy() != null) {
        common.out().printf(Locale.ROOT, "  %-7s  %-18s -> %s%n", "", "", check.remedy());
      }
    }
    common.out().println(ok ? "Sampling on the CPU works here." : "Something needed has failed.");
    common.out().flush();
  }
}
