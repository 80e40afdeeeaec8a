package dev.longalign.panels;

import java.util.List;

/**
 * How well pictures show what was asked for.
 *
 * @param objects objects asked for
 * @param aligned those whose shape and colour are right in the right cell
 */
public record Alignment(int objects, int aligned) {

  /** Compares scenes read from pictures with those asked for, one by one. */
  public static Alignment of(List<Scene> asked, List<Scene> found) {
    int objects = 0;
    int aligned = 0;
    for (int i = 0; i < asked.size(); i++) {
      for (int cell = 0; cell < PanelsWorld.CELLS; cell++) {
        int wanted = asked.get(i).cells().get(cell);
        int seen = found.get(i).cells().get(cell);
        if (wanted != PanelsWorld.EMPTY) {
          objects++;
          boolean right =
              seen != PanelsWorld.EMPTY
                  && PanelsWorld.shape(wanted) == PanelsWorld.shape(seen)
                  && PanelsWorld.color(wanted) == PanelsWorld.color(seen);
          aligned += right ? 1 : 0;
        }
      }
    }
    return new Alignment(objects, aligned);
  }

  /** 0 to 1. */
  public double accuracy() {
    return (double) aligned / objects;
  }
}
