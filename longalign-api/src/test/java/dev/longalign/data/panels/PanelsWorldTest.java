package dev.longalign.data.panels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import dev.longalign.data.RgbPicture;
import dev.longalign.data.SplitMix64;
import dev.longalign.data.TrainingExample;
import dev.longalign.tensor.ReferenceBackend;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

final class PanelsWorldTest {
  /** SHA-256 of the tiles [4, 97, 32, 32, 3] that the model's own training code drew (numpy). */
  private static final String TILES =
      "489b5c0dcd382e114f0d90540d4744a69d619b0f781404d0a1aec481c89bcf40";

  @Test
  void theTilesAreThoseOfTheTraining() throws Exception {
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    for (int background = 0; background < 4; background++) {
      for (int code = 0; code <= PanelsWorld.EMPTY; code++) {
        for (int value : PanelsWorld.tile(background, code)) {
          digest.update((byte) value);
        }
      }
    }
    assertThat(HexFormat.of().formatHex(digest.digest())).isEqualTo(TILES);
  }

  @ParameterizedTest
  @CsvSource({"true, 454", "false, 149"})
  void everyHeldOutSceneIsReadFromItsRendering(boolean longCaptions, int objects) {
    List<CaptionedScene> held = longCaptions ? HeldOut.longCaptions() : HeldOut.shortCaptions();
    assertThat(held).hasSize(64);
    for (CaptionedScene captioned : held) {
      Scene scene = captioned.scene();
      assertThat(PanelsReader.read(PanelsWorld.render(scene))).isEqualTo(scene);
      assertThat(Set.of(captioned.caption().split("(?<=\\.) ")))
          .hasSize(scene.objects() + 1)
          .isSubsetOf(SceneWriter.trueSentences(scene));
    }
    assertThat(Alignment.of(scenes(held), scenes(held)))
        .isEqualTo(new Alignment(1, 1, 1, 1, 1, 1, 1, objects));
  }

  private static List<Scene> scenes(List<CaptionedScene> captioned) {
    return captioned.stream().map(CaptionedScene::scene).toList();
  }

  @Test
  void scenesSurviveJson(@TempDir Path directory) throws IOException {
    List<CaptionedScene> scenes = HeldOut.longCaptions();
    Path copy = directory.resolve("copy.json");
    CaptionedScene.write(copy, scenes);
    assertThat(CaptionedScene.read(copy)).isEqualTo(scenes);
    JsonArray written = JsonParser.parseString(Files.readString(copy)).getAsJsonArray();
    JsonArray original;
    try (Reader json =
        new InputStreamReader(
            HeldOut.class.getResourceAsStream("heldout_long.json"), StandardCharsets.UTF_8)) {
      original = JsonParser.parseReader(json).getAsJsonArray();
    }
    for (int i = 0; i < scenes.size(); i++) {
      for (String key : List.of("caption", "scene")) {
        assertThat(written.get(i).getAsJsonObject().get(key))
            .isEqualTo(original.get(i).getAsJsonObject().get(key));
      }
    }
  }

  @Test
  void scenesOfAnotherWorldAreRefused() {
    JsonObject scene =
        PanelsDataset.endless(PanelsDataset.Captions.LONG, 1).scene(0).scene().toJson();
    JsonObject first = scene.getAsJsonArray("objects").get(0).getAsJsonObject();
    first.addProperty("color", "pink");
    assertThatThrownBy(() -> Scene.parse(scene))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("no colour 'pink', only [red, green");
    first.addProperty("color", "red");
    first.addProperty("position", "nowhere");
    assertThatThrownBy(() -> Scene.parse(scene)).hasMessageContaining("key 'position': expected");
    first.remove("position");
    first.addProperty("cell", 9);
    assertThatThrownBy(() -> Scene.parse(scene))
        .hasMessageContaining("key 'cell': expected 0 to 8");
    JsonObject second = scene.getAsJsonArray("objects").get(1).getAsJsonObject();
    first.add("cell", second.get("cell"));
    assertThatThrownBy(() -> Scene.parse(scene)).hasMessageContaining("still empty");
  }

  @ParameterizedTest
  @EnumSource(PanelsDataset.Captions.class)
  void examplesAreReproducibleAndTrue(PanelsDataset.Captions captions) {
    PanelsDataset dataset = PanelsDataset.endless(captions, 42);
    PanelsDataset again = PanelsDataset.of(captions, 42, 200);
    Set<String> different = new HashSet<>();
    TreeSet<Integer> counts = new TreeSet<>();
    for (int i = 79; i >= 0; i--) {
      TrainingExample example = dataset.example(i);
      assertThat(again.example(i)).isEqualTo(example);
      Scene scene = dataset.scene(i).scene();
      assertThat(PanelsReader.read(example.picture())).isEqualTo(scene);
      assertThat(Set.of(example.caption().split("(?<=\\.) ")))
          .hasSize(scene.objects() + 1)
          .isSubsetOf(SceneWriter.trueSentences(scene));
      different.add(example.caption());
      counts.add(scene.objects());
    }
    assertThat(different).hasSize(80);
    assertThat(counts)
        .containsExactlyElementsOf(
            switch (captions) {
              case LONG -> List.of(5, 6, 7, 8, 9);
              case SHORT -> List.of(1, 2, 3, 4);
              case MIXED -> List.of(1, 2, 3, 4, 5, 6, 7, 8, 9);
            });
    assertThat(PanelsDataset.endless(captions, 43).example(0).caption())
        .isNotEqualTo(dataset.example(0).caption());
    assertThatThrownBy(() -> again.example(200)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  /** Saved positions and published figures depend on it. */
  @Test
  void theStreamIsFrozen() {
    assertThat(PanelsDataset.endless(PanelsDataset.Captions.SHORT, 7).example(3).caption())
        .isEqualTo(
            "A small yellow square is placed in the middle left. The background is pale yellow."
                + " There is a large purple ring in the upper center. In the lower center of the"
                + " image we can see a small black ring. The center cell holds a small black cross"
                + " with crisp, even edges.");
  }

  @Test
  void everyTemplateObjectCellAndBackgroundOccurs() {
    Set<String> seen = new HashSet<>();
    SplitMix64 random = new SplitMix64(5);
    for (int i = 0; i < 500; i++) {
      Scene scene = SceneWriter.scene(random, 9);
      SceneWriter.Style style = SceneWriter.Style.values()[i % 2];
      List<String> sentences =
          List.of(SceneWriter.caption(random, scene, style).split("(?<=\\.) "));
      for (int cell = 0; cell < 9; cell++) {
        PanelObject object = scene.cells().get(cell).orElseThrow();
        List<String> possible = SceneWriter.objectSentences(cell, object);
        for (int template = 0; template < 6; template++) {
          if (sentences.contains(possible.get(template))) {
            seen.add("template " + template + " in cell " + cell + " at " + i % 2);
            seen.add("object " + object);
          }
        }
      }
      for (String sentence : SceneWriter.backgroundSentences(scene.background())) {
        seen.addAll(sentences.contains(sentence) ? List.of(sentence) : List.of());
      }
    }
    assertThat(seen).hasSize(2 * 6 * 9 + 96 + 12);
  }

  /** Every word is one piece of the model's vocabulary, so that nothing is spelled out. */
  @Test
  void captionsUseOnlyWordsThatTheModelKnows() throws IOException {
    Set<String> clip = vocabulary("tokenizer/vocab.json");
    Set<String> words = new TreeSet<>();
    for (int i = 0; i < 300; i++) {
      String caption = PanelsDataset.endless(PanelsDataset.Captions.MIXED, 1).example(i).caption();
      words.addAll(List.of(caption.toLowerCase(Locale.ROOT).split("[ .,]+")));
    }
    assertThat(words).hasSizeGreaterThan(50).allMatch(word -> clip.contains(word + "</w>"));
    assertThat(clip).contains(".</w>", ",</w>");
    Set<String> t5 = pieces("t5/tokenizer.json");
    List<String> unknown =
        words.stream().filter(word -> !canBeSpelled("\u2581" + word, t5)).toList();
    assertThat(unknown).isEmpty();
  }

  private static boolean canBeSpelled(String word, Set<String> pieces) {
    boolean[] reachable = new boolean[word.length() + 1];
    reachable[0] = true;
    for (int from = 0; from < word.length(); from++) {
      for (int to = from + 1; reachable[from] && to <= word.length(); to++) {
        reachable[to] |= pieces.contains(word.substring(from, to));
      }
    }
    return reachable[word.length()];
  }

  private static Set<String> vocabulary(String file) throws IOException {
    return embedded(file).keySet();
  }

  private static Set<String> pieces(String file) throws IOException {
    Set<String> pieces = new HashSet<>();
    embedded(file)
        .getAsJsonObject("model")
        .getAsJsonArray("vocab")
        .forEach(entry -> pieces.add(entry.getAsJsonArray().get(0).getAsString()));
    return pieces;
  }

  private static JsonObject embedded(String file) throws IOException {
    try (InputStream in =
        PanelsWorld.class.getResourceAsStream("/dev/longalign/embedded/longsd-mini/" + file)) {
      return JsonParser.parseReader(new InputStreamReader(in, StandardCharsets.UTF_8))
          .getAsJsonObject();
    }
  }

  @Test
  void noiseDoesNotDisturbTheReader() {
    Random noise = new Random(7);
    List<Scene> asked = new ArrayList<>();
    List<RgbPicture> pictures = new ArrayList<>();
    for (int i = 0; i < 16; i++) {
      CaptionedScene captioned = PanelsDataset.endless(PanelsDataset.Captions.MIXED, 3).scene(i);
      asked.add(captioned.scene());
      pictures.add(PanelsWorld.render(captioned.scene()));
    }
    try (ReferenceBackend backend = new ReferenceBackend();
        TensorScope scope = TensorScope.open()) {
      Tensor clean = RgbPicture.toTensor(backend, pictures);
      float[] values = clean.toFloats();
      for (int i = 0; i < values.length; i++) {
        values[i] += (float) (0.2 * noise.nextGaussian());
      }
      assertThat(PanelsReader.read(clean)).isEqualTo(asked);
      List<Scene> found = PanelsReader.read(Tensor.of(backend, clean.shape(), values));
      assertThat(Alignment.of(asked, found).align()).isGreaterThan(0.99);
      assertThatThrownBy(() -> PanelsReader.read(clean.rows(0, 1).reshape(1, 48, 192, 3)))
          .hasMessageContaining("96 x 96 pixels, found [1, 48, 192, 3]");
    }
  }

  @Test
  void eachMetricCountsItsOwnMistake() {
    Optional<PanelObject> ring = Optional.of(PanelObject.of("large", "cyan", "ring"));
    Scene asked = scene(0, ring, ring, Optional.empty());
    assertThat(score(asked, scene(0, ring, ring, ring)).empty()).isEqualTo(6 / 7.0);
    assertThat(score(asked, scene(1, ring, ring, Optional.empty())).background()).isZero();
    Alignment size = score(asked, scene(0, ring, of("small", "cyan", "ring"), Optional.empty()));
    assertThat(size).isEqualTo(new Alignment(1, 0.5, 1, 1, 0.5, 1, 1, 2));
    Alignment color = score(asked, scene(0, ring, of("large", "red", "ring"), Optional.empty()));
    assertThat(color).isEqualTo(new Alignment(0.5, 0.5, 0.5, 1, 1, 1, 1, 2));
    Alignment gone = score(asked, scene(0, ring, Optional.empty(), Optional.empty()));
    assertThat(gone).isEqualTo(new Alignment(0.5, 0.5, 0.5, 0.5, 0.5, 1, 1, 2));
    Alignment shape = score(asked, scene(0, ring, of("large", "cyan", "cross"), ring));
    assertThat(shape).isEqualTo(new Alignment(0.5, 0.5, 1, 0.5, 1, 6 / 7.0, 1, 2));
    assertThatThrownBy(() -> Alignment.of(List.of(asked), List.of()))
        .hasMessageContaining("0 and 1");
  }

  private static Optional<PanelObject> of(String size, String color, String shape) {
    return Optional.of(PanelObject.of(size, color, shape));
  }

  private static Alignment score(Scene asked, Scene found) {
    return Alignment.of(List.of(asked), List.of(found));
  }

  @SafeVarargs
  private static Scene scene(int background, Optional<PanelObject>... first) {
    List<Optional<PanelObject>> cells = new ArrayList<>(PanelsWorld.noObjects());
    for (int i = 0; i < first.length; i++) {
      cells.set(i, first[i]);
    }
    return new Scene(background, cells);
  }
}
