package dev.longalign.benchmarks;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Collection;
import java.util.Locale;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/**
 * Runs benchmarks with JMH's own command line and writes what was measured, where, to the folder
 * that the system property {@code longalign.results} names (else {@code benchmarks/results}, or
 * {@code results} inside this module):
 *
 * <pre>{@code java -jar benchmarks.jar ResnetBenchmark -p layer=mid_conv2 -p dtype=BF16}</pre>
 */
public final class Benchmarks {
  private Benchmarks() {}

  public static void main(String[] arguments) throws Exception {
    CommandLineOptions options = new CommandLineOptions(arguments);
    if (options.shouldHelp()) {
      options.showHelp();
      return;
    }
    Runner runner =
        new Runner(new OptionsBuilder().parent(options).addProfiler(GCProfiler.class).build());
    if (options.shouldList()) {
      runner.list();
      return;
    }
    if (options.shouldListWithParams()) {
      runner.listWithParams(options);
      return;
    }
    Instant started = Instant.now().truncatedTo(ChronoUnit.SECONDS);
    Collection<RunResult> results = runner.run();
    if (results.isEmpty()) {
      System.err.println("no benchmark has run to its end; see above");
      System.exit(1);
    }
    Report report = Report.of(started, results, Roof.Effort.asked());
    Path file = report.write(folder());
    System.out.printf(Locale.ROOT, "%n%s%nwritten to %s%n", report.table(), file);
  }

  private static Path folder() {
    String otherwise = Files.isDirectory(Path.of("benchmarks")) ? "benchmarks/results" : "results";
    return Path.of(System.getProperty("longalign.results", otherwise));
  }
}
