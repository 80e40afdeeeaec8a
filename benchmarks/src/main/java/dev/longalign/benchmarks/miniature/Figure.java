package dev.longalign.benchmarks.miniature;

import dev.longalign.LongAlignException;
import dev.longalign.evaluation.ContactSheet;
import dev.longalign.io.AtomicFiles;
import java.awt.Color;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import javax.imageio.ImageIO;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.lines.SeriesLines;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** A measure against steps of training, a line a run. */
final class Figure {
  private static final int WIDTH = 560;
  private static final int HEIGHT = 360;

  private final XYChart chart;
  private boolean empty = true;

  Figure(String measure) {
    chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(measure)
            .xAxisTitle("steps of training")
            .build();
    chart.getStyler().setChartBackgroundColor(Color.WHITE).setMarkerSize(6);
    chart.getStyler().setYAxisDecimalPattern("0.####").setLegendBorderColor(Color.WHITE);
    chart
        .getStyler()
        .setLegendPosition(Styler.LegendPosition.OutsideS)
        .setLegendLayout(Styler.LegendLayout.Horizontal);
  }

  /** What was measured along a run. */
  Figure line(String name, List<Point> points, ToDoubleFunction<Point> measure) {
    if (!points.isEmpty()) {
      chart
          .addSeries(
              name,
              points.stream().mapToDouble(Point::step).toArray(),
              points.stream().mapToDouble(measure).toArray())
          .setMarker(SeriesMarkers.CIRCLE);
      empty = false;
    }
    return this;
  }

  /** A value that does not depend on training. */
  Figure level(String name, double value, long lastStep) {
    chart
        .addSeries(name, new double[] {0, Math.max(1, lastStep)}, new double[] {value, value})
        .setMarker(SeriesMarkers.NONE)
        .setLineStyle(SeriesLines.DASH_DASH);
    empty = false;
    return this;
  }

  /**
   * Writes charts into one PNG, row by row; those without lines are left out.
   *
   * @return whether there was anything to draw
   */
  static boolean write(Path file, List<Figure> figures, int columns) {
    List<BufferedImage> drawn = new ArrayList<>();
    try {
      for (Figure figure : figures) {
        if (!figure.empty) {
          drawn.add(BitmapEncoder.getBufferedImage(figure.chart));
        }
      }
    } catch (InternalError | UnsatisfiedLinkError | NoClassDefFoundError e) {
      throw new LongAlignException(
          file
              + ": the figures cannot be drawn: Java found no fonts ("
              + e.getMessage()
              + "); install fontconfig and a font, such as fonts-dejavu-core",
          e);
    }
    if (drawn.isEmpty()) {
      return false;
    }
    BufferedImage all = ContactSheet.of(drawn, columns);
    AtomicFiles.write(
        file,
        out -> {
          if (!ImageIO.write(all, "png", out)) {
            throw new IOException("this JDK writes no PNG");
          }
        });
    return true;
  }
}
