package dev.longalign.cli;

import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.io.TorchFile;
import dev.longalign.tensor.DType;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What a file of tensors is.
 *
 * @param file the file
 * @param kind what it is for
 * @param tensors how many
 * @param parameters elements in all tensors
 * @param dtypes elements by type
 * @param ranks of a LoRA: how many layers have which rank
 * @param metadata what travels beside the tensors
 * @param firstNames the first few names, if tensors have names
 */
record WeightsSummary(
    Path file,
    Kind kind,
    int tensors,
    long parameters,
    Map<DType, Long> dtypes,
    Map<Long, Integer> ranks,
    Map<String, String> metadata,
    List<String> firstNames) {

  enum Kind {
    LORA_LIST("LoRA as a bare list [up, down, ...]: LongAlign's own"),
    LORA_KOHYA("LoRA, kohya's names (lora_unet_...)"),
    LORA_PEFT("LoRA, PEFT's names (lora_A, lora_B)"),
    LORA_DIFFUSERS("LoRA, diffusers' names (lora.up, lora.down)"),
    UNET("UNet weights"),
    VAE("VAE weights"),
    CLIP("CLIP weights"),
    T5("T5 weights"),
    ADAPTER("text adapter weights"),
    CHECKPOINT("a whole checkpoint in one file"),
    TENSORS("tensors");

    private final String label;

    Kind(String label) {
      this.label = label;
    }
  }

  private static final int SHOWN = 5;

  static WeightsSummary of(Path path) {
    try (TensorFile file = TensorFiles.open(path)) {
      List<StoredTensor> tensors = file.tensors();
      Map<DType, Long> dtypes = new TreeMap<>();
      tensors.forEach(tensor -> dtypes.merge(tensor.dtype(), tensor.shape().size(), Long::sum));
      boolean bare = file instanceof TorchFile torch && torch.isList();
      Kind kind = bare ? bareKind(tensors) : kind(file.names());
      return new WeightsSummary(
          path,
          kind,
          tensors.size(),
          dtypes.values().stream().mapToLong(Long::longValue).sum(),
          dtypes,
          ranks(kind, tensors),
          file.metadata(),
          bare ? List.of() : file.names().stream().limit(SHOWN).toList());
    }
  }

  /** Up and down factors alternate and share their rank. */
  private static Kind bareKind(List<StoredTensor> tensors) {
    boolean pairs = !tensors.isEmpty() && tensors.size() % 2 == 0;
    for (int i = 0; pairs && i < tensors.size(); i += 2) {
      pairs =
          tensors.get(i).shape().rank() >= 2
              && tensors.get(i + 1).shape().rank() >= 2
              && tensors.get(i).shape().dim(1) == tensors.get(i + 1).shape().dim(0);
    }
    return pairs ? Kind.LORA_LIST : Kind.TENSORS;
  }

  private static Kind kind(Set<String> names) {
    if (any(names, "lora_unet_") || any(names, "lora_te")) {
      return Kind.LORA_KOHYA;
    } else if (any(names, ".lora_A.")) {
      return Kind.LORA_PEFT;
    } else if (any(names, ".lora.up.")
        || any(names, "_lora.up.")
        || any(names, "lora_linear_layer")) {
      return Kind.LORA_DIFFUSERS;
    } else if (any(names, "model.diffusion_model.")) {
      return Kind.CHECKPOINT;
    } else if (names.contains("conv_in.weight") && any(names, "down_blocks.")) {
      return Kind.UNET;
    } else if (names.contains("post_quant_conv.weight")) {
      return Kind.VAE;
    } else if (any(names, "text_model.encoder.")) {
      return Kind.CLIP;
    } else if (any(names, ".SelfAttention.relative_attention_bias.")) {
      return Kind.T5;
    } else if (names.contains("ff1.net.0.proj.weight")) {
      return Kind.ADAPTER;
    }
    return Kind.TENSORS;
  }

  private static boolean any(Set<String> names, String part) {
    return names.stream().anyMatch(name -> name.contains(part));
  }

  /** The rank is the first dimension of a down factor. */
  private static Map<Long, Integer> ranks(Kind kind, List<StoredTensor> tensors) {
    Map<Long, Integer> ranks = new TreeMap<>();
    for (int i = 0; i < tensors.size(); i++) {
      String name = tensors.get(i).name();
      boolean down =
          switch (kind) {
            case LORA_LIST -> i % 2 == 1;
            case LORA_KOHYA -> name.endsWith("lora_down.weight");
            case LORA_PEFT -> name.contains(".lora_A.");
            case LORA_DIFFUSERS -> name.endsWith(".down.weight");
            default -> false;
          };
      if (down) {
        ranks.merge(tensors.get(i).shape().dim(0), 1, Integer::sum);
      }
    }
    return ranks;
  }

  void print(PrintWriter out) {
    out.println(file + ": " + kind.label);
    out.printf(
        Locale.ROOT,
        "  %d tensors, %,d parameters, %s%n",
        tensors,
        parameters,
        new TreeSet<>(dtypes.keySet()));
    ranks.forEach(
        (rank, layers) -> out.printf(Locale.ROOT, "  rank %d in %d layers%n", rank, layers));
    metadata.forEach((key, value) -> out.printf(Locale.ROOT, "  %s: %s%n", key, value));
    if (!firstNames.isEmpty()) {
      out.println("  " + String.join(", ", firstNames) + (tensors > SHOWN ? ", ..." : ""));
    }
    if (kind == Kind.CHECKPOINT) {
      out.println("  -> longalign convert " + file + " --out DIRECTORY");
    }
  }
}
