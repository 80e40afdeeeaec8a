package dev.longalign.cli;

import dev.longalign.LongAlign;
import dev.longalign.Splitter;
import dev.longalign.text.EncodingReport;
import java.io.PrintWriter;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code longalign encode}: the segments and tokens of a prompt, and what is cut. */
@Command(
    name = "encode",
    sortOptions = false,
    description =
        "Shows how a prompt is cut into segments, their tokens, and what does not reach the network.")
final class EncodeCommand implements Callable<Integer> {
  @Mixin CommonOptions common;
  @Mixin EngineOptions with;

  @Parameters(paramLabel = "PROMPT", description = "The prompt; - reads it from standard input.")
  String prompt;

  @Option(
      names = "--splitter",
      defaultValue = "reference",
      description = "One of: ${COMPLETION-CANDIDATES}. Default: reference.")
  Splitter splitter;

  @Option(names = "--strict", description = "Fail if a token is cut.")
  boolean strict;

  @Override
  public Integer call() {
    EncodingReport report;
    String text = StandardInput.orText(prompt);
    try (LongAlign longAlign = with.open(common)) {
      report = longAlign.encode(text, splitter);
    }
    if (common.json) {
      common.printJson(report);
    } else {
      print(report);
    }
    return strict && !report.isComplete() ? ExitCode.FAILED : ExitCode.OK;
  }

  private void print(EncodingReport report) {
    PrintWriter out = common.out();
    for (EncodingReport.Segment segment : report.segments()) {
      int lost = segment.cutByWindow() + segment.cutByTokenLength() + segment.special();
      out.printf(
          Locale.ROOT,
          "%3d  %3d tokens%s  %s%n",
          segment.index(),
          segment.ids().size(),
          lost == 0 ? "" : ", " + lost + " cut",
          segment.text().strip());
    }
    out.println(report.summary());
    out.flush();
  }
}
