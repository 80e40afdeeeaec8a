package dev.longalign.onnx;

import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.Names;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.model.ClipTextConfig;
import dev.longalign.model.ClipVisionConfig;
import dev.longalign.preference.PictureProcessor;
import dev.longalign.preference.PictureProcessorConfig;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A checkpoint of open_clip's layout (HPSv2's file, for example) under transformers' names. The
 * queries', keys' and values' weights, which it stores as one tensor, become three that lie where
 * they lay; the two projections, which it stores transposed, are copied. Sizes are read off the
 * tensors; what cannot be comes from {@code open_clip_config.json} beside the file, else from
 * open_clip's table of models.
 */
final class OpenClipCheckpoint {
  private static final String CONFIG = "open_clip_config.json";
  private static final Pattern HPS = Pattern.compile("(?i)hps[_-]?v2");
  private static final String MARK = "visual.conv1.weight";

  /** Without a config: widths of vision towers whose heads are not 64 wide, ViT-H, -g, -bigG. */
  private static final Map<Integer, Integer> HEADS = Map.of(1280, 16, 1408, 16, 1664, 16);

  private static final int HEAD_WIDTH = 64;

  /** What stands for open_clip's rule, the state at the largest id. */
  private static final int LARGEST_ID = 2;

  /** open_clip's number of a text tower's heads where its config names none. */
  private static final int TEXT_HEADS = 8;

  /** Changes no cosine, or is computed from sizes. */
  private static final Set<String> UNREAD = Set.of("logit_scale", "logit_bias", "attn_mask");

  private static final Pattern LAYER =
      Pattern.compile(
          "\\d+\\.((ln_[12]|attn\\.out_proj|mlp\\.c_(fc|proj))\\.(weight|bias)"
              + "|attn\\.in_proj_(weight|bias))");

  private static final Pattern LAYER_SCALE = Pattern.compile("(.*\\.)ls_([12])\\.gamma");

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

  private final Path path;
  private final TensorFile tensors;
  private final Config config;

  private OpenClipCheckpoint(Path path, TensorFile tensors, Config config) {
    this.path = path;
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
    Map<String, StoredTensor> own = new LinkedHashMap<>(); // by open_clip's names
    for (String name : file.names()) {
      if (name.startsWith(prefix)) {
        String rest = name.substring(prefix.length());
        own.put(rest.startsWith("text.") ? rest.substring(5) : rest, file.tensor(name));
      }
    }
    own.keySet().removeAll(UNREAD);
    scaleLayers(own);
    List<StoredTensor> renamed = new ArrayList<>();
    List<String> left = new ArrayList<>();
    own.forEach(
        (name, tensor) -> {
          if (!rename(name, tensor, renamed)) {
            left.add(Names.printable(name));
          }
        });
    if (!left.isEmpty()) {
      throw new LongAlignException(
          path
              + ": expected the tensors of a CLIP of two transformers, found "
              + left.size()
              + " that it has no use for: "
              + String.join(", ", left.subList(0, Math.min(3, left.size())))
              + (left.size() > 3 ? ", ..." : "")
              + "; models with other layers are not supported");
    }
    Path beside = path.resolveSibling(CONFIG);
    Config config = Files.isRegularFile(beside) ? Config.read(beside) : Config.parse(CONFIG, "{}");
    return new OpenClipCheckpoint(path, TensorFiles.of(file.source(), renamed), config);
  }

  /** A scale a channel after a layer's output is the same as a scale of that output's weights. */
  private static void scaleLayers(Map<String, StoredTensor> tensors) {
    for (String name : List.copyOf(tensors.keySet())) {
      Matcher scale = LAYER_SCALE.matcher(name);
      if (scale.matches()) {
        float[] gamma = tensors.remove(name).toFloats();
        String output =
            scale.group(1) + (scale.group(2).equals("1") ? "attn.out_proj." : "mlp.c_proj.");
        for (String kind : List.of("weight", "bias")) {
          tensors.computeIfPresent(output + kind, (key, weight) -> scaled(weight, gamma));
        }
      }
    }
  }

  private static StoredTensor scaled(StoredTensor weight, float[] gamma) {
    float[] values = weight.toFloats();
    if (weight.shape().rank() == 0 || weight.shape().dim(0) != gamma.length) {
      throw new LongAlignException(weight + ": expected " + gamma.length + " rows to be scaled");
    }
    int row = values.length / gamma.length;
    for (int i = 0; i < values.length; i++) {
      values[i] *= gamma[i / row];
    }
    return StoredTensor.ofFloats(weight.name(), DType.F32, weight.shape(), values);
  }

  /** Whether the tensor is one that a CLIP has. */
  private static boolean rename(String name, StoredTensor tensor, List<StoredTensor> to) {
    if (name.equals("visual.proj")) {
      to.add(transposed("visual_projection.weight", tensor));
      return true;
    } else if (name.equals("text_projection")) {
      to.add(transposed("text_projection.weight", tensor));
      return true;
    }
    for (Map.Entry<String, String> module : MODULES.entrySet()) {
      if (name.startsWith(module.getKey())) {
        String rest = name.substring(module.getKey().length());
        boolean known =
            module.getKey().endsWith("resblocks.")
                ? LAYER.matcher(rest).matches()
                : module.getKey().endsWith(".")
                    ? rest.equals("weight") || rest.equals("bias")
                    : rest.isEmpty();
        if (known) {
          rest(module.getValue(), rest, tensor, to);
        }
        return known;
      }
    }
    return false;
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
    if (tensor.shape().rank() == 0 || tensor.shape().dim(0) % 3 != 0) {
      throw new LongAlignException(tensor + ": expected queries, keys and values, rows in threes");
    }
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

  /** What the config says; without one HPSv2's own where the file is named so, else open_clip's. */
  PictureProcessor processor() {
    int size = vision().imageSize();
    boolean hps = HPS.matcher(path.getFileName().toString()).lookingAt();
    return hps && !config.has("preprocess_cfg")
        ? PictureProcessorConfig.hpsV2(size)
        : PictureProcessorConfig.openClip(
            config.has("preprocess_cfg")
                ? config.getConfig("preprocess_cfg")
                : Config.parse(config.source(), "{}"),
            size);
  }

  ClipTextConfig text() {
    OpenClipConfig text = OpenClipConfig.text(config);
    Shape tokens = shape("text_model.embeddings.token_embedding.weight", 2);
    int width = text.agreeing("width", tokens.intDim(1));
    int heads =
        text.exists() ? text.config().getInt("heads", TEXT_HEADS) : Math.max(1, width / HEAD_WIDTH);
    return new ClipTextConfig(
        path.toString(),
        text.agreeing("vocab_size", tokens.intDim(0)),
        width,
        shape("text_model.encoder.layers.0.mlp.fc1.weight", 2).intDim(0),
        text.agreeing("layers", layers("text_model")),
        divisor(text, "heads", heads, width),
        text.agreeing(
            "context_length",
            shape("text_model.embeddings.position_embedding.weight", 2).intDim(0)),
        text.epsilon(),
        text.activation(),
        LARGEST_ID,
        shape("text_projection.weight", 2).intDim(0));
  }

  ClipVisionConfig vision() {
    OpenClipConfig vision = OpenClipConfig.vision(config);
    Shape patches = shape("vision_model.embeddings.patch_embedding.weight", 4);
    int width = vision.agreeing("width", patches.intDim(0));
    int patch = vision.agreeing("patch_size", patches.intDim(3));
    int positions = shape("vision_model.embeddings.position_embedding.weight", 2).intDim(0);
    int grid = (int) Math.round(Math.sqrt(positions - 1.0));
    int heads =
        vision.exists()
            ? width / Math.max(1, vision.config().getInt("head_width", HEAD_WIDTH))
            : HEADS.getOrDefault(width, Math.max(1, width / HEAD_WIDTH));
    return new ClipVisionConfig(
        path.toString(),
        width,
        shape("vision_model.encoder.layers.0.mlp.fc1.weight", 2).intDim(0),
        vision.agreeing("layers", layers("vision_model")),
        divisor(vision, "head_width", heads, width),
        vision.exists() ? vision.config().getInt("image_size", grid * patch) : grid * patch,
        patch,
        vision.epsilon(),
        vision.activation(),
        shape("visual_projection.weight", 2).intDim(0));
  }

  private static int divisor(OpenClipConfig tower, String key, int heads, int width) {
    if (heads < 1 || width % heads != 0) {
      throw tower.config().refusal(key, "heads of equal width in " + width);
    }
    return heads;
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
}
