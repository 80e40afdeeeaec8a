package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.Sha256;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.model.Lora;
import dev.longalign.model.PreparedContext;
import dev.longalign.model.TrainableParameter;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.nn.LayerDropout;
import dev.longalign.pipeline.MergedModel;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import dev.longalign.training.export.ExportFormat;
import dev.longalign.training.export.ExportSettings;
import dev.longalign.training.export.ExportedFile;
import dev.longalign.training.export.Exports;
import dev.longalign.training.export.ModelCard;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Exports of the tiny model: what is written, what it says of itself, what it replaces. */
class ExportsTest {
  private static final ExportSettings ALL =
      ExportSettings.DEFAULT
          .withFormats(EnumSet.allOf(ExportFormat.class))
          .withPrecision(DType.F16, DType.F32);
  private static final ModelCard CARD =
      ModelCard.of("Tiny \"long\" captions")
          .withTraining("align", 1234, "panels (long, seed 0, endless)", Map.of("rank", "4"))
          .withBaseModel("someone/tiny-longsd")
          .withBackend("cpu")
          .withLicense("apache-2.0");

  @TempDir Path folder;

  /** The reward LoRA is merged into the base; the align LoRA is what was trained. */
  private static ModelFiles base() {
    Path tiny = TinyTraining.folder();
    return ModelFiles.find(
        tiny,
        tiny.resolve("s28750_adapter"),
        null,
        List.of(new ModelFiles.LoraFile(tiny.resolve("sd15-reward-3750.pt"), 1)),
        false);
  }

  static TinyTraining trained() {
    return new TinyTraining("unet", "s28750_lora_vis.pt", LayerDropout.NONE, true, false);
  }

  private static List<String> list(Path directory) {
    try (Stream<Path> all = Files.walk(directory)) {
      return all.filter(Files::isRegularFile)
          .map(path -> directory.relativize(path).toString())
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void everyFormatIsReadBackAndDescribed() throws IOException {
    Path out = folder.resolve("deep/export");
    try (TinyTraining tiny = trained()) {
      Exports.write(tiny.model, base(), ALL, CARD, out);
      Lora expected =
          Lora.read(TinyTraining.folder().resolve("s28750_lora_vis.pt"), Exports.layers(base()));
      for (String name :
          List.of(
              "lora_vis.pt",
              "lora_vis_kohya.safetensors",
              "adapter_model.safetensors",
              "pytorch_lora_weights.safetensors")) {
        Lora found = Lora.read(out.resolve(name), Exports.layers(base()));
        assertThat(found.entries().keySet()).isEqualTo(expected.entries().keySet());
        expected
            .entries()
            .forEach(
                (layer, entry) ->
                    assertThat(found.entries().get(layer).up().toFloats())
                        .as(name + " " + layer)
                        .isEqualTo(entry.up().toFloats()));
      }
      mergedIsTheSum(tiny, out.resolve("merged"));
    }
    assertThat(list(out))
        .contains("adapter/config.json", "merged/vae/config.json", "merged/t5/spiece.model")
        .contains("merged/adapter/diffusion_pytorch_model.safetensors")
        .doesNotContain("merged/unet_train/config.json", "merged/lora_vis.pt");
    describes(out, "someone/tiny-longsd");
    describes(out.resolve("merged"), "someone/tiny-longsd");
    assertThat(Files.readString(out.resolve("README.md")))
        .startsWith("---\nlicense: \"apache-2.0\"\nbase_model: \"someone/tiny-longsd\"\n")
        .contains("# Tiny \"long\" captions", "| stage | align |", "| steps | 1234 |")
        .contains("--adapter adapter --lora ", "sd15-reward-3750.pt --lora lora_vis.pt 'A long")
        .contains("PeftModel.from_pretrained", "load_lora_weights")
        .doesNotContain(folder.toString());
    assertThat(list(folder)).allMatch(name -> name.startsWith("deep/export/"));
  }

  /** The reference's picture of both LoRAs merged. */
  private static void mergedIsTheSum(TinyTraining tiny, Path directory) {
    Golden forward = Golden.open("unet/forward");
    ModelFiles merged = ModelFiles.find(directory, null, null, List.of(), true);
    assertThat(merged.adapter()).contains(directory.resolve("adapter"));
    try (UNet2DCondition unet = merged.loadUNet(tiny.backend, DType.F32);
        TensorScope scope = TensorScope.open()) {
      PreparedContext context = unet.prepareContext(forward.tensor(tiny.backend, "context"));
      Golden.open("unet/lora")
          .checkNhwc(
              Tolerance.F32,
              "merged_2",
              unet.forward(forward.nhwc(tiny.backend, "sample"), 500, context));
    }
  }

  private static void describes(Path directory, String baseName) {
    JsonObject card = Config.read(directory.resolve("model-card.json")).json();
    JsonArray files = card.getAsJsonArray("files");
    List<String> all = list(directory);
    assertThat(files).hasSize(all.size() - 2); // the cards themselves
    files.forEach(
        element -> {
          Path file = directory.resolve(element.getAsJsonObject().get("file").getAsString());
          assertThat(element.getAsJsonObject().get("sha256").getAsString())
              .as(file.toString())
              .isEqualTo(Sha256.of(file));
        });
    JsonObject training = card.getAsJsonObject("training");
    assertThat(training.get("steps").getAsLong()).isEqualTo(1234);
    assertThat(training.getAsJsonObject("settings").get("rank").getAsString()).isEqualTo("4");
    JsonObject base = card.getAsJsonObject("base");
    assertThat(base.get("name").getAsString()).isEqualTo(baseName);
    assertThat(base.getAsJsonArray("mergedLoras")).hasSize(1);
    Path unet = TinyTraining.folder().resolve("unet/diffusion_pytorch_model.safetensors");
    assertThat(base.getAsJsonArray("files").toString())
        .contains(Sha256.of(unet), "t5/model.safetensors");
    assertThat(card.getAsJsonObject("software").keySet())
        .containsExactly("library", "java", "os", "backend");
  }

  @Test
  void anExportReplacesAnExportAndNothingElse() throws IOException {
    Path out = folder.resolve("export");
    try (TinyTraining tiny = trained()) {
      Exports.write(tiny.model, base(), ALL.withFormats(EnumSet.of(ExportFormat.KOHYA)), CARD, out);
      List<ExportedFile> files =
          Exports.write(tiny.model, base(), ExportSettings.DEFAULT, CARD, out);
      assertThat(files)
          .extracting(ExportedFile::file)
          .containsExactly(
              "adapter/config.json", "adapter/diffusion_pytorch_model.safetensors", "lora_vis.pt");
      assertThat(list(out)).hasSize(5).doesNotContain("lora_vis_kohya.safetensors");
      Files.createDirectories(out.resolve(".git"));
      Files.writeString(out.resolve(".git/HEAD"), "mine");
      assertThatThrownBy(() -> Exports.write(tiny.model, base(), ALL, CARD, out))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("found in it .git/HEAD, which is of no export");
      Path file = Files.writeString(folder.resolve("file"), "");
      assertThatThrownBy(() -> Exports.check(file)).hasMessageContaining("found a file");
    }
    assertThat(list(out)).contains(".git/HEAD").hasSize(6);
  }

  /** Half precision ends at 65504: the export fails when it is half done. */
  @Test
  void aFailedExportKeepsTheOneBefore() {
    Path out = folder.resolve("export");
    try (TinyTraining tiny = trained()) {
      Exports.write(tiny.model, base(), ExportSettings.DEFAULT, CARD, out);
      List<String> before = list(folder);
      String hash = Sha256.of(out.resolve("lora_vis.pt"));
      List<TrainableParameter> parameters = tiny.model.parameters();
      try (Optimizer optimizer =
          new Optimizer(tiny.autograd, parameters, TrainerSettings.DEFAULT)) {
        TrainableParameter last = parameters.get(2 * 40);
        float[] values = last.value().toFloats();
        values[0] = 1e6f;
        optimizer.assign(last.value(), values);
      }
      assertThatThrownBy(() -> Exports.write(tiny.model, base(), ALL, CARD, out))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("expected numbers that F16 can hold");
      assertThat(list(folder)).isEqualTo(before);
      assertThat(Sha256.of(out.resolve("lora_vis.pt"))).isEqualTo(hash);
    }
  }

  @Test
  void filesAreConvertedThereAndBack() {
    Path tiny = TinyTraining.folder();
    Path from = tiny.resolve("s28750_lora_vis.pt");
    ModelFiles base = ModelFiles.find(tiny, null, null, List.of(), false);
    Path kohya = folder.resolve("kohya");
    Exports.convert(
        from,
        tiny.resolve("s28750_adapter"),
        base,
        ExportSettings.DEFAULT.withFormats(EnumSet.of(ExportFormat.KOHYA)).withName("vis"),
        ModelCard.of("There"),
        null,
        kohya);
    Path back = folder.resolve("back");
    Exports.convert(
        kohya.resolve("vis_kohya.safetensors"),
        null,
        base,
        ExportSettings.DEFAULT,
        ModelCard.of("Back"),
        null,
        back);
    assertThat(list(kohya)).contains("adapter/config.json");
    try (TensorFile one = TensorFiles.open(from);
        TensorFile two = TensorFiles.open(back.resolve("lora_vis.pt"))) {
      assertThat(two.names()).isEqualTo(one.names());
      one.names()
          .forEach(name -> assertThat(two.tensor(name).data()).isEqualTo(one.tensor(name).data()));
    }
    Config card = Config.read(back.resolve("model-card.json"));
    assertThat(card.has("training")).isFalse();
    assertThat(card.getConfig("from").getConfig("card").getString("title")).isEqualTo("There");
  }

  @Test
  void aMergedModelKeepsOrChangesItsType() {
    Path kept = folder.resolve("kept");
    Path changed = folder.resolve("changed");
    try (TinyTraining tiny = trained()) {
      MergedModel.write(base(), null, tiny.backend, kept);
      Exports.convert(
          TinyTraining.folder().resolve("s28750_lora_vis.pt"),
          null,
          base(),
          ALL.withFormats(EnumSet.of(ExportFormat.MERGED)).withPrecision(DType.F16, DType.BF16),
          ModelCard.of("Merged"),
          tiny.backend,
          changed);
    }
    assertThat(types(kept)).containsOnly(DType.F16); // as the base
    assertThat(types(changed)).containsOnly(DType.BF16);
    assertThat(list(kept)).contains("unet/config.json").doesNotContain("README.md");
    assertThat(list(changed)).contains("model_index.json", "README.md", "model-card.json");
  }

  private static List<DType> types(Path model) {
    try (TensorFile file =
        TensorFiles.open(model.resolve("unet/diffusion_pytorch_model.safetensors"))) {
      return file.tensors().stream().map(StoredTensor::dtype).distinct().toList();
    }
  }
}
