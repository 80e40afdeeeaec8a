package dev.longalign.onnx;

import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.model.ClipTextConfig;
import dev.longalign.model.ClipVisionConfig;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A checkpoint of open_clip's layout (HPSv2's file, for example) under transformers' names. The
 * queries', keys' and values' weights, which it stores as one tensor, become three that lie where
 * they lay; the two projections, which it stores transposed, are copied. Sizes are read off the
 * tensors; what cannot be comes from {@code open_clip_config.json} beside the file, else from
 * open_clip's table of models.
 */
final class OpenClipCheckpoint {
  private static final String CONFIG = "open_clip_config.json";
  private static final String MARK = "visual.conv1.weight";

  /** Widths of vision towers whose heads are not 64 wide: ViT-H, ViT-g, ViT-bigG. */
  private static final Map<Integer, Integer> HEADS = Map.of(1280, 16, 1408, 16, 1664, 16);

  private static final int HEAD_WIDTH = 64;

  /** What stands for open_clip's rule, the state at the largest id. */
  private static final int LARGEST_ID = 2;

  private static final float EPSILON = 1e-5f;

  private static final Map<String, String> MODULES =
      Map.ofEntries(
          Map.entry("visual.conv1.weight", "vision_model.embeddings.patch_embedding.weight"),
          Map.entry("visual.class_embedding", "vision_model.embeddings.class_embedding"),
          Map.entry(
              "visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
          Map.entry("visual.ln_pre.", "vision_model.pre_layrnorm."),
          Map.entry("visual.ln_post.", "vision_model.post_layernorm."),
          Map.entry("visual.transformer.resblocks.", "vision_model.encoder.layers."),
          Map.entry("token_embedding.weight", "text_model.embeddings.token_embedding.weight"),
          Map.entry("positional_embedding", "text_model.embeddings.position_embedding.weight"),
          Map.entry("ln_final.", "text_model.final_layer_norm."),
          Map.entry("transformer.resblocks.", "text_model.encoder.layers."));

  private final String source;
  private final TensorFile tensors;
  private final Config config;

  private OpenClipCheckpoint(String source, TensorFile tensors, Config config) {
    this.source = source;
    this.tensors = tensors;
    this.config = config;
  }

  /** Whether the tensors are named as open_clip names them. */
  static boolean matches(TensorFile file) {
    return file.names().stream().anyMatch(name -> name.endsWith(MARK));
  }

  /**
   * @param path of {@code file}
   */
  static OpenClipCheckpoint read(Path path, TensorFile file) {
    String prefix =
        file.names().stream()
            .filter(name -> name.endsWith(MARK))
            .map(name -> name.substring(0, name.length() - MARK.length()))
            .findFirst()
            .orElseThrow(
                () ->
                    new LongAlignException(
                        path
                            + ": expected open_clip's tensors, among them "
                            + MARK
                            + ", found none; for a Hugging Face model give its directory"));
    List<StoredTensor> renamed = new ArrayList<>();
    for (String name : file.names()) {
      if (name.startsWith(prefix)) {
        rename(name.substring(prefix.length()), file.tensor(name), renamed);
      }
    }
    Path beside = path.resolveSibling(CONFIG);
    Config config = Files.isRegularFile(beside) ? Config.read(beside) : Config.parse(CONFIG, "{}");
    return new OpenClipCheckpoint(path.toString(), TensorFiles.of(file.source(), renamed), config);
  }

  private static void rename(String name, StoredTensor tensor, List<StoredTensor> to) {
    if (name.equals("visual.proj")) {
      to.add(transposed("visual_projection.weight", tensor));
    } else if (name.equals("text_projection")) {
      to.add(transposed("text_projection.weight", tensor));
    } else {
      for (Map.Entry<String, String> module : MODULES.entrySet()) {
        if (name.startsWith(module.getKey())) {
          rest(module.getValue(), name.substring(module.getKey().length()), tensor, to);
          return;
        }
      }
    }
  }

  private static void rest(String module, String rest, StoredTensor tensor, List<StoredTensor> to) {
    String name =
        module
            + rest.replace("ln_1.", "layer_norm1.")
                .replace("ln_2.", "layer_norm2.")
                .replace("mlp.c_fc.", "mlp.fc1.")
                .replace("mlp.c_proj.", "mlp.fc2.")
                .replace("attn.out_proj.", "self_attn.out_proj.");
    int joined = name.indexOf("attn.in_proj_");
    if (joined < 0) {
      to.add(tensor.named(name));
      return;
    }
    String kind = name.substring(joined + "attn.in_proj_".length());
    long rows = tensor.shape().dim(0) / 3;
    String[] parts = {"q_proj.", "k_proj.", "v_proj."};
    for (int i = 0; i < parts.length; i++) {
      String part = name.substring(0, joined) + "self_attn." + parts[i] + kind;
      to.add(tensor.rows(i * rows, (i + 1) * rows).named(part));
    }
  }

  private static StoredTensor transposed(String name, StoredTensor tensor) {
    if (tensor.shape().rank() != 2) {
      throw new LongAlignException(tensor + ": expected a matrix");
    }
    int rows = tensor.shape().intDim(0);
    int columns = tensor.shape().intDim(1);
    float[] values = tensor.toFloats();
    float[] turned = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      turned[i % columns * rows + i / columns] = values[i];
    }
    return StoredTensor.ofFloats(name, DType.F32, Shape.of(columns, rows), turned);
  }

  /** The tensors under transformers' names. */
  TensorFile tensors() {
    return tensors;
  }

  /** The model's settings; empty without the config file. */
  Config preprocessing() {
    return section(config, "preprocess_cfg");
  }

  ClipTextConfig text() {
    Config text = section(section(config, "model_cfg"), "text_cfg");
    Shape tokens = shape("text_model.embeddings.token_embedding.weight", 2);
    int width = tokens.intDim(1);
    return new ClipTextConfig(
        source,
        tokens.intDim(0),
        width,
        shape("text_model.encoder.layers.0.mlp.fc1.weight", 2).intDim(0),
        layers("text_model"),
        text.getInt("heads", Math.max(1, width / HEAD_WIDTH)),
        shape("text_model.embeddings.position_embedding.weight", 2).intDim(0),
        EPSILON,
        activation(),
        LARGEST_ID,
        shape("text_projection.weight", 2).intDim(0));
  }

  ClipVisionConfig vision() {
    Config vision = section(section(config, "model_cfg"), "vision_cfg");
    Shape patches = shape("vision_model.embeddings.patch_embedding.weight", 4);
    int width = patches.intDim(0);
    int patch = patches.intDim(3);
    int positions = shape("vision_model.embeddings.position_embedding.weight", 2).intDim(0);
    int grid = (int) Math.round(Math.sqrt(positions - 1.0));
    int heads =
        vision.has("head_width")
            ? width / vision.getInt("head_width")
            : HEADS.getOrDefault(width, Math.max(1, width / HEAD_WIDTH));
    return new ClipVisionConfig(
        source,
        width,
        shape("vision_model.encoder.layers.0.mlp.fc1.weight", 2).intDim(0),
        layers("vision_model"),
        heads,
        vision.getInt("image_size", grid * patch),
        patch,
        EPSILON,
        activation(),
        shape("visual_projection.weight", 2).intDim(0));
  }

  private String activation() {
    boolean quick = section(config, "model_cfg").getBoolean("quick_gelu", false);
    return quick ? "quick_gelu" : "gelu";
  }

  private int layers(String tower) {
    int layers = 0;
    while (tensors.contains(tower + ".encoder.layers." + layers + ".layer_norm1.weight")) {
      layers++;
    }
    return layers;
  }

  private Shape shape(String name, int rank) {
    StoredTensor tensor = tensors.tensor(name);
    if (tensor.shape().rank() != rank) {
      throw new LongAlignException(tensor + ": expected " + rank + " axes");
    }
    return tensor.shape();
  }

  private static Config section(Config config, String key) {
    return config.has(key) ? config.getConfig(key) : Config.parse(config.source(), "{}");
  }
}
