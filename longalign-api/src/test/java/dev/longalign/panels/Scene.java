package dev.longalign.panels;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.tensor.Golden;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * One picture of the panels world: a background and nine cells, row by row, each with at most one
 * object.
 *
 * @param background index into {@link PanelsWorld#BACKGROUNDS}
 * @param cells nine object codes, {@link PanelsWorld#EMPTY} where there is none
 */
public record Scene(int background, List<Integer> cells) {

  /** A scene and the caption that describes it. */
  public record Captioned(String caption, Scene scene) {}

  public Scene {
    cells = List.copyOf(cells);
    if (cells.size() != PanelsWorld.CELLS) {
      throw new IllegalArgumentException("expected nine cells, found " + cells.size());
    }
  }

  /** How many objects there are. */
  public int objects() {
    return (int) cells.stream().filter(code -> code != PanelsWorld.EMPTY).count();
  }

  /** The 64 held-out scenes with captions of 100 to 200 tokens. */
  public static List<Captioned> heldOutLong() {
    return read(Golden.miniFolder().resolve("heldout_long.json"));
  }

  /** The 64 held-out scenes whose captions fit into 77 tokens. */
  public static List<Captioned> heldOutShort() {
    return read(Golden.miniFolder().resolve("heldout_short.json"));
  }

  private static List<Captioned> read(Path file) {
    try {
      JsonArray array = JsonParser.parseString(Files.readString(file)).getAsJsonArray();
      List<Captioned> scenes = new ArrayList<>();
      for (JsonElement element : array) {
        JsonObject object = element.getAsJsonObject();
        scenes.add(
            new Captioned(
                object.get("caption").getAsString(), of(object.getAsJsonObject("scene"))));
      }
      return scenes;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Scene of(JsonObject json) {
    Integer[] cells = new Integer[PanelsWorld.CELLS];
    Arrays.fill(cells, PanelsWorld.EMPTY);
    for (JsonElement element : json.getAsJsonArray("objects")) {
      JsonObject object = element.getAsJsonObject();
      cells[object.get("cell").getAsInt()] =
          PanelsWorld.code(
              PanelsWorld.SHAPES.indexOf(object.get("shape").getAsString()),
              PanelsWorld.COLORS.indexOf(object.get("color").getAsString()),
              PanelsWorld.SIZES.indexOf(object.get("size").getAsString()));
    }
    int background = PanelsWorld.BACKGROUNDS.indexOf(json.get("background").getAsString());
    return new Scene(background, List.of(cells));
  }
}
