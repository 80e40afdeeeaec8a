package dev.longalign.data.panels;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * One picture of the panels world, in words.
 *
 * @param background an index into {@link PanelsWorld#BACKGROUNDS}
 * @param cells nine, row by row; empty where there is nothing
 */
public record Scene(int background, List<Optional<PanelObject>> cells) {
  public Scene {
    Objects.checkIndex(background, PanelsWorld.BACKGROUNDS.size());
    cells = List.copyOf(cells);
    if (cells.size() != PanelsWorld.CELLS) {
      throw new IllegalArgumentException(
          "a scene has " + PanelsWorld.CELLS + " cells, found " + cells.size());
    }
  }

  /** How many objects there are. */
  public int objects() {
    return (int) cells.stream().filter(Optional::isPresent).count();
  }

  /** {@code {"background": ..., "objects": [{"cell", "position", "size", "color", "shape"}]}}. */
  public JsonObject toJson() {
    JsonArray objects = new JsonArray();
    for (int cell = 0; cell < cells.size(); cell++) {
      if (cells.get(cell).isPresent()) {
        PanelObject shown = cells.get(cell).get();
        JsonObject object = new JsonObject();
        object.addProperty("cell", cell);
        object.addProperty("position", PanelsWorld.POSITIONS.get(cell));
        object.addProperty("size", PanelsWorld.SIZES.get(shown.size()));
        object.addProperty("color", PanelsWorld.COLORS.get(shown.color()));
        object.addProperty("shape", PanelsWorld.SHAPES.get(shown.shape()));
        objects.add(object);
      }
    }
    JsonObject scene = new JsonObject();
    scene.addProperty("background", PanelsWorld.BACKGROUNDS.get(background));
    scene.add("objects", objects);
    return scene;
  }

  /**
   * Reads what {@link #toJson} wrote.
   *
   * @throws LongAlignException if a word is not of this world, a cell occurs twice, or cell and
   *     position disagree
   */
  public static Scene parse(JsonObject json) {
    Config scene = Config.of("scene", json);
    int background =
        PanelObject.index("background", PanelsWorld.BACKGROUNDS, scene.getString("background"));
    if (!scene.isList("objects")) {
      throw scene.refusal("objects", "a list of objects");
    }
    List<Optional<PanelObject>> cells = new ArrayList<>(PanelsWorld.noObjects());
    for (JsonElement element : json.getAsJsonArray("objects")) {
      if (!element.isJsonObject()) {
        throw scene.refusal("objects", "a list of objects");
      }
      Config object = Config.of("scene object", element.getAsJsonObject());
      int cell = object.getInt("cell");
      if (cell < 0 || cell >= PanelsWorld.CELLS) {
        throw object.refusal("cell", "0 to " + (PanelsWorld.CELLS - 1));
      }
      String position = PanelsWorld.POSITIONS.get(cell);
      if (!object.getString("position", position).equals(position)) {
        throw object.refusal("position", "'" + position + "', which is cell " + cell);
      }
      if (cells.get(cell).isPresent()) {
        throw object.refusal("cell", "one that is still empty");
      }
      cells.set(
          cell,
          Optional.of(
              PanelObject.of(
                  object.getString("size"), object.getString("color"), object.getString("shape"))));
    }
    return new Scene(background, cells);
  }
}
