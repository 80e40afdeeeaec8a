package dev.longalign.cli;

import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import dev.longalign.io.StateDict;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFiles;
import dev.longalign.model.WeightsKind;
import dev.longalign.tensor.DType;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * What a file of tensors is.
 *
 * @param file the file
 * @param kind what it is for
 * @param tensors how many
 * @param parameters elements in all tensors
 * @param dtypes elements by type
 * @param unsupported how many tensors have a type that is not read, by type
 * @param beside how many tensors lie beside the model, by the beginning of their names
 * @param ranks of a LoRA: how many layers have which rank
 * @param metadata what travels beside the tensors
 * @param firstNames the first few names, if tensors have names
 */
record WeightsSummary(
    Path file,
    WeightsKind kind,
    int tensors,
    long parameters,
    Map<DType, Long> dtypes,
    Map<String, Integer> unsupported,
    Map<String, Integer> beside,
    Map<Long, Integer> ranks,
    Map<String, String> metadata,
    List<String> firstNames) {
  private static final int SHOWN = 5;
  private static final int METADATA_SHOWN = 20;
  private static final Pattern DOWN =
      Pattern.compile(
          ".*[._](lora_A\\.(.+\\.)?|lora_down\\.|lora\\.down\\.|lora_linear_layer\\.down\\.)weight");

  /**
   * @throws LongAlignException if it cannot be read or has no tensors
   */
  static WeightsSummary of(Path path) {
    try (StateDict file = StateDict.unwrap(TensorFiles.open(path))) {
      if (file.names().isEmpty()) {
        throw new LongAlignException(path + ": expected weights, found a file without tensors");
      }
      List<StoredTensor> tensors = file.tensors();
      Map<DType, Long> dtypes = new TreeMap<>();
      tensors.forEach(tensor -> dtypes.merge(tensor.dtype(), tensor.shape().size(), Long::sum));
      Map<String, Integer> unsupported = new TreeMap<>();
      file.unsupported().values().forEach(type -> unsupported.merge(type, 1, Integer::sum));
      WeightsKind kind = WeightsKind.of(file);
      boolean bare = kind == WeightsKind.LORA_LIST;
      return new WeightsSummary(
          path,
          kind,
          file.names().size(),
          dtypes.values().stream().mapToLong(Long::longValue).sum(),
          dtypes,
          unsupported,
          file.beside(),
          ranks(kind, tensors),
          file.metadata(),
          bare ? List.of() : file.names().stream().limit(SHOWN).toList());
    }
  }

  /** The rank is the first dimension of a down factor. */
  private static Map<Long, Integer> ranks(WeightsKind kind, List<StoredTensor> tensors) {
    Map<Long, Integer> ranks = new TreeMap<>();
    for (int i = 0; i < tensors.size(); i++) {
      boolean down =
          kind == WeightsKind.LORA_LIST
              ? i % 2 == 1
              : kind.use() == WeightsKind.Use.LORA && DOWN.matcher(tensors.get(i).name()).matches();
      if (down && tensors.get(i).shape().rank() > 0) {
        ranks.merge(tensors.get(i).shape().dim(0), 1, Integer::sum);
      }
    }
    return ranks;
  }

  void print(PrintWriter out) {
    out.println(file + ": " + kind.label());
    out.printf(
        Locale.ROOT,
        "  %d tensors, %,d parameters, %s%n",
        tensors,
        parameters,
        new TreeSet<>(dtypes.keySet()));
    unsupported.forEach(
        (type, count) -> out.println("  " + count + " of type " + type + ", which is not read"));
    beside.forEach(
        (group, count) ->
            out.println("  not used: " + Names.printable(group) + ", " + count + " tensors"));
    ranks.forEach(
        (rank, layers) -> out.printf(Locale.ROOT, "  rank %d in %d layers%n", rank, layers));
    metadata.entrySet().stream()
        .limit(METADATA_SHOWN)
        .forEach(
            entry ->
                out.println(
                    "  "
                        + Names.printable(entry.getKey())
                        + ": "
                        + Names.printable(entry.getValue())));
    if (metadata.size() > METADATA_SHOWN) {
      out.println("  ... and " + (metadata.size() - METADATA_SHOWN) + " more, see --json");
    }
    if (!firstNames.isEmpty()) {
      out.println("  " + Names.some(firstNames) + (tensors > SHOWN ? ", ..." : ""));
    }
    if (!kind.refusal().isEmpty()) {
      out.println("  -> it is " + kind.refusal());
    } else if (kind == WeightsKind.CHECKPOINT) {
      out.println("  -> longalign convert " + file + " --out DIRECTORY");
    }
  }
}
