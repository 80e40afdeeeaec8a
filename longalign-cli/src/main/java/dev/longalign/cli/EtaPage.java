package dev.longalign.cli;

import dev.longalign.LongAlignException;
import dev.longalign.preference.EtaStatistics;
import dev.longalign.preference.EtaStatistics.Histogram;
import java.awt.Color;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.internal.chartpart.Chart;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The page of {@code longalign eta}: one file, its plots inside. */
final class EtaPage {
  private static final String TEMPLATE = "eta.html";
  private static final int WIDTH = 900;
  private static final int HEIGHT = 480;

  private EtaPage() {}

  /** Fills the template. */
  static String html(EtaReport report) {
    Map<String, String> parts = new LinkedHashMap<>();
    parts.put("title", "Text-irrelevant preference: eta");
    parts.put(
        "summary",
        escape(
            String.format(
                Locale.ROOT,
                "%d captions of %s, encoded by %s; the common direction is of %s.",
                report.statistics().count(),
                report.captionFile(),
                report.scorer(),
                report.commonDirection())));
    parts.put(
        "warning",
        report.warning().map(w -> "<p><strong>" + escape(w) + "</strong></p>").orElse(""));
    parts.put("histogram", png(histogram(report.histogram())));
    parts.put("statistics", statistics(report.statistics()));
    parts.put("parts", report.parts() == null ? "" : scatterSection(report.parts()));
    parts.put("json", escape(Json.write(report)));
    String page = template();
    StringBuilder filled = new StringBuilder();
    int at = 0;
    for (int open = page.indexOf("{{"); open >= 0; open = page.indexOf("{{", at)) {
      int close = page.indexOf("}}", open);
      filled.append(page, at, open).append(parts.get(page.substring(open + 2, close)));
      at = close + 2;
    }
    return filled.append(page.substring(at)).toString();
  }

  private static XYChart histogram(Histogram histogram) {
    XYChart chart = chart("How much of a caption is common to all", "eta", "captions");
    chart.getStyler().setDefaultSeriesRenderStyle(XYSeries.XYSeriesRenderStyle.StepArea);
    chart.getStyler().setYAxisMin(0.0).setYAxisDecimalPattern("0").setLegendVisible(false);
    List<Integer> counts = new ArrayList<>(histogram.counts());
    counts.add(counts.get(counts.size() - 1)); // a step reaches to the next edge
    chart.addSeries("eta", histogram.edges(), counts).setMarker(SeriesMarkers.NONE);
    return chart;
  }

  private static XYChart scatter(EtaReport.Parts parts) {
    XYChart chart = chart("The two parts of every score", "score", "part of the score");
    chart.getStyler().setDefaultSeriesRenderStyle(XYSeries.XYSeriesRenderStyle.Scatter);
    chart.getStyler().setYAxisDecimalPattern("0.000").setMarkerSize(6);
    chart.addSeries("text-relevant", parts.scores(), parts.relevant());
    chart
        .addSeries("text-irrelevant", parts.scores(), parts.irrelevant())
        .setMarker(SeriesMarkers.DIAMOND);
    return chart;
  }

  /** The same in every language. */
  private static XYChart chart(String title, String x, String y) {
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(title)
            .xAxisTitle(x)
            .yAxisTitle(y)
            .build();
    chart.getStyler().setXAxisDecimalPattern("0.000").setLocale(Locale.ROOT);
    chart.getStyler().setChartBackgroundColor(Color.WHITE);
    return chart;
  }

  private static String scatterSection(EtaReport.Parts parts) {
    return String.format(
        Locale.ROOT,
        """
        <h2>The two parts against the score</h2>
        <figure>
        <img alt="Scatter of the parts against the score" src="data:image/png;base64,%s">
        <figcaption>One point a picture and part (LongAlign, figure 2c).</figcaption>
        </figure>
        <table>
        <tr><th>correlation with the score</th><th>Pearson</th><th>Spearman</th></tr>
        %s%s</table>
        """,
        png(scatter(parts)),
        correlation("text-relevant part", parts.relevantWithScore()),
        correlation("text-irrelevant part", parts.irrelevantWithScore()));
  }

  private static String correlation(String name, EtaStatistics.Correlation correlation) {
    return String.format(
        Locale.ROOT,
        "<tr><td>%s</td><td class=\"number\">%.4f</td><td class=\"number\">%.4f</td></tr>%n",
        name,
        correlation.pearson(),
        correlation.spearman());
  }

  private static String statistics(EtaStatistics s) {
    Map<String, Double> rows = new LinkedHashMap<>();
    rows.put("mean", s.mean());
    rows.put("standard deviation", s.standardDeviation());
    rows.put("least", s.min());
    rows.put("first quartile", s.quartile1());
    rows.put("median", s.median());
    rows.put("third quartile", s.quartile3());
    rows.put("greatest", s.max());
    StringBuilder table = new StringBuilder();
    rows.forEach(
        (name, value) ->
            table.append(
                String.format(
                    Locale.ROOT,
                    "<tr><td>%s</td><td class=\"number\">%.4f</td></tr>%n",
                    name,
                    value)));
    return table.toString();
  }

  private static String png(Chart<?, ?> chart) {
    try {
      byte[] bytes = BitmapEncoder.getBitmapBytes(chart, BitmapEncoder.BitmapFormat.PNG);
      return Base64.getEncoder().encodeToString(bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InternalError | UnsatisfiedLinkError | NoClassDefFoundError e) {
      throw new LongAlignException(
          "the plots cannot be drawn: Java found no fonts ("
              + e.getMessage()
              + "); install fontconfig and a font, such as fonts-dejavu-core",
          e);
    }
  }

  private static String template() {
    try (InputStream in = EtaPage.class.getResourceAsStream(TEMPLATE)) {
      if (in == null) {
        throw new LongAlignException(TEMPLATE + ": not in the jar, which is not whole");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
  }
}
