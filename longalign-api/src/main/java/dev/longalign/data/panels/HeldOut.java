package dev.longalign.data.panels;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * Scenes and captions that the embedded model was not trained on: what it is measured with, 64 of
 * each kind. They do not change, so that numbers can be compared.
 */
public final class HeldOut {
  private HeldOut() {}

  /** Five to nine objects, 100 to 200 tokens: more than CLIP's window holds. 454 objects in all. */
  public static List<CaptionedScene> longCaptions() {
    return read("heldout_long.json");
  }

  /** One to four objects: mostly within CLIP's window. 149 objects in all. */
  public static List<CaptionedScene> shortCaptions() {
    return read("heldout_short.json");
  }

  private static List<CaptionedScene> read(String name) {
    try (InputStream in = HeldOut.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new LongAlignException(name + ": not in the longalign-api jar, which is not whole");
      }
      return CaptionedScene.parse(name, new String(in.readAllBytes(), StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new LongAlignException(name + " cannot be read from the jar: " + e, e);
    }
  }
}
