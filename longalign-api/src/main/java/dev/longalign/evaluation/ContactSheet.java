package dev.longalign.evaluation;

import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.util.List;

/** Many small pictures on one. */
public final class ContactSheet {
  private static final int GAP = 4;

  private ContactSheet() {}

  /**
   * Lays pictures of one size out on white, row by row.
   *
   * @param columns how many in a row
   */
  public static BufferedImage of(List<BufferedImage> pictures, int columns) {
    if (pictures.isEmpty() || columns < 1) {
      throw new IllegalArgumentException(
          "a contact sheet needs pictures and columns, found "
              + pictures.size()
              + " and "
              + columns);
    }
    int width = pictures.get(0).getWidth() + GAP;
    int height = pictures.get(0).getHeight() + GAP;
    int across = Math.min(columns, pictures.size());
    int rows = (pictures.size() + columns - 1) / columns;
    BufferedImage sheet =
        new BufferedImage(across * width + GAP, rows * height + GAP, BufferedImage.TYPE_INT_RGB);
    Graphics2D graphics = sheet.createGraphics();
    graphics.setColor(Color.WHITE);
    graphics.fillRect(0, 0, sheet.getWidth(), sheet.getHeight());
    for (int i = 0; i < pictures.size(); i++) {
      graphics.drawImage(
          pictures.get(i), GAP + i % columns * width, GAP + i / columns * height, null);
    }
    graphics.dispose();
    return sheet;
  }
}
