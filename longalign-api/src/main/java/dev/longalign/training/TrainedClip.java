package dev.longalign.training;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.io.AtomicFiles;
import dev.longalign.io.Config;
import dev.longalign.io.Reasons;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.model.TrainableClip;
import dev.longalign.model.TrainableParameter;
import dev.longalign.nn.RandomDropout;
import dev.longalign.tensor.DType;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A CLIP in training, and the directory that its tokenizer comes from.
 *
 * @param files a CLIPModel's directory: tokenizer and preprocessor_config.json are copied from it
 */
public record TrainedClip(AutogradBackend autograd, TrainableClip clip, Path files)
    implements Trainable {
  private static final List<String> TOKENIZER_FILES =
      List.of(
          "vocab.json",
          "merges.txt",
          "tokenizer.json",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "added_tokens.json");
  private static final String PREPROCESSOR = "preprocessor_config.json";

  @Override
  public List<TrainableParameter> parameters() {
    return clip.parameters();
  }

  /** None: CLIP is trained without. */
  @Override
  public RandomDropout dropout() {
    return null;
  }

  /**
   * Writes a CLIPModel's directory as Hugging Face has it: config.json, model.safetensors in f32,
   * the tokenizer's files and preprocessor_config.json.
   *
   * @throws LongAlignException if it cannot be written
   */
  public void export(Path directory) {
    clip.clampLogitScale();
    try {
      Files.createDirectories(directory);
      for (String name : TOKENIZER_FILES) {
        Path file = files.resolve(name);
        if (Files.isRegularFile(file)) {
          byte[] bytes = Files.readAllBytes(file);
          AtomicFiles.write(directory.resolve(name), out -> out.write(bytes));
        }
      }
    } catch (IOException e) {
      throw new LongAlignException(directory + ": cannot be written (" + Reasons.of(e) + ")", e);
    }
    SafetensorsWriter.write(
        directory.resolve("model.safetensors"),
        parameters().stream().map(p -> p.stored(DType.F32)).toList(),
        Map.of("format", "pt"));
    write(directory.resolve(PREPROCESSOR), preprocessor());
    write(directory.resolve("config.json"), clip.config().json());
  }

  /** The one there is, for pictures of this model's size. */
  private JsonObject preprocessor() {
    Path file = files.resolve(PREPROCESSOR);
    JsonObject json =
        Files.isRegularFile(file) ? Config.read(file).json().deepCopy() : new JsonObject();
    int side = clip.config().vision().imageSize();
    JsonObject crop = new JsonObject();
    crop.addProperty("height", side);
    crop.addProperty("width", side);
    json.add("crop_size", crop);
    JsonObject size = new JsonObject();
    size.addProperty("shortest_edge", side);
    json.add("size", size);
    return json;
  }

  private static void write(Path file, JsonObject json) {
    String text = new GsonBuilder().setPrettyPrinting().create().toJson(json) + "\n";
    AtomicFiles.write(file, out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
  }
}
