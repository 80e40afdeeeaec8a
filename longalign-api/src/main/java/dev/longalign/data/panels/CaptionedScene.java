package dev.longalign.data.panels;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.Config;
import dev.longalign.io.TextFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** A scene and a caption that describes it, as the files of held-out scenes list them. */
public record CaptionedScene(String caption, Scene scene) {
  public CaptionedScene {
    Objects.requireNonNull(caption, "caption");
    Objects.requireNonNull(scene, "scene");
  }

  /**
   * Reads a JSON list of {@code {"caption": ..., "scene": {...}}}; other keys are ignored.
   *
   * @throws LongAlignException if the file is something else
   */
  public static List<CaptionedScene> read(Path file) {
    return parse(file.toString(), TextFile.read(file));
  }

  /**
   * Reads the text of such a file.
   *
   * @param source what messages call it
   */
  static List<CaptionedScene> parse(String source, String json) {
    try {
      JsonElement root = JsonParser.parseString(json);
      if (!root.isJsonArray()) {
        throw new LongAlignException(source + ": expected a JSON list of captioned scenes");
      }
      List<CaptionedScene> scenes = new ArrayList<>();
      for (JsonElement element : root.getAsJsonArray()) {
        if (!element.isJsonObject()) {
          throw new LongAlignException(source + ": expected a JSON list of objects");
        }
        Config entry = Config.of(source + " entry " + scenes.size(), element.getAsJsonObject());
        scenes.add(
            new CaptionedScene(
                entry.getString("caption"), Scene.parse(entry.getConfig("scene").json())));
      }
      return List.copyOf(scenes);
    } catch (JsonParseException damaged) {
      throw new LongAlignException(
          source + " cannot be read as captioned scenes: " + damaged, damaged);
    }
  }

  /** Writes a file for {@link #read}, atomically. */
  public static void write(Path file, List<CaptionedScene> scenes) {
    JsonArray list = new JsonArray();
    for (CaptionedScene captioned : scenes) {
      JsonObject entry = new JsonObject();
      entry.addProperty("caption", captioned.caption());
      entry.add("scene", captioned.scene().toJson());
      list.add(entry);
    }
    byte[] json = list.toString().getBytes(StandardCharsets.UTF_8);
    AtomicFiles.write(file, out -> out.write(json));
  }
}
