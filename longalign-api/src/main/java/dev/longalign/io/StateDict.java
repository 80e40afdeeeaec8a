package dev.longalign.io;

import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The tensors of one model out of what trainers write around and beside them. Around: levels of a
 * dict ({@code state_dict.}, {@code model.}) and prefixes of wrapping modules ({@code module.},
 * {@code _orig_mod.}); they are told by where the names of a model begin, whatever they are called.
 * Beside: a moving average, an optimizer, a loss. Those are left out, and the log says so; of a
 * model and its moving average the model is taken.
 */
public final class StateDict implements TensorFile {
  private static final Logger LOG = LoggerFactory.getLogger(StateDict.class);

  /** One name of each kind of model that tells where its names begin. */
  private static final Set<String> MARKS =
      Set.of(
          "model.diffusion_model.input_blocks.0.0.weight", // a checkpoint in one file
          "first_stage_model.decoder.conv_in.weight",
          "time_embedding.linear_1.weight", // UNet
          "decoder.conv_in.weight", // autoencoder
          "text_model.embeddings.token_embedding.weight", // CLIP
          "embeddings.token_embedding.weight",
          "vision_model.embeddings.class_embedding",
          "encoder.block.0.layer.0.SelfAttention.q.weight", // T5
          "ff1.net.0.proj.weight", // text adapter
          "visual.conv1.weight"); // open_clip

  /** Of wrapping. */
  private static final int MAX_LEVELS = 8;

  private static final Pattern MOVING_AVERAGE =
      Pattern.compile("(?:.*[._])?(?:ema|swa|averaged?|shadow)(?:[._].*)?");

  /** Groups that trainings write beside a model. */
  private static final Pattern BESIDE =
      Pattern.compile(
          "(?:.*_)?(?:ema|swa|optim|optimizers?|opt|schedulers?|lr_schedulers?|scalers?|grad_scaler"
              + "|amp|loss|losses|loss_fn|logvar|callbacks|loops|rng|rng_states?|discriminator"
              + "|metrics?|bundle_emb)(?:_state|_states|_dict|_state_dict|_params|_weights|\\d)*");

  private final TensorFile file;
  private final Map<String, String> stored;
  private final SortedMap<String, Integer> beside;

  private StateDict(
      TensorFile file, Map<String, String> stored, SortedMap<String, Integer> beside) {
    this.file = file;
    this.stored = stored;
    this.beside = beside;
  }

  /** Unwraps the weights of a UNet, an autoencoder, a text encoder, an adapter, a checkpoint. */
  public static StateDict unwrap(TensorFile file) {
    return unwrap(file, MARKS::contains);
  }

  /**
   * @param known whether a name is one of the model that is looked for
   * @return the tensors under the names that the model gives them; all tensors as they are if none
   *     is known
   */
  public static StateDict unwrap(TensorFile file, Predicate<String> known) {
    Map<String, Integer> prefixes = new HashMap<>();
    for (String name : file.names()) {
      int start = start(name, known);
      if (start >= 0) {
        prefixes.merge(name.substring(0, start), 1, Integer::sum);
      }
    }
    int most = prefixes.isEmpty() ? 0 : Collections.max(prefixes.values());
    String prefix =
        prefixes.keySet().stream()
            .filter(candidate -> 2 * prefixes.get(candidate) > most)
            .min(
                Comparator.<String, Boolean>comparing(p -> MOVING_AVERAGE.matcher(p).matches())
                    .thenComparing(p -> -prefixes.get(p))
                    .thenComparing(String::length)
                    .thenComparing(p -> p))
            .orElse("");
    Set<String> copies = new HashSet<>();
    for (String name : file.names()) {
      int start = start(name, known);
      if (start > prefix.length()
          && name.startsWith(prefix)
          && file.contains(prefix + name.substring(start))) {
        copies.add(name.substring(0, start));
      }
    }
    Map<String, String> stored = new LinkedHashMap<>();
    SortedMap<String, Integer> beside = new TreeMap<>();
    for (String name : file.names()) {
      String inner = name.startsWith(prefix) ? name.substring(prefix.length()) : "";
      if (most == 0) {
        stored.put(name, name);
      } else if (inner.isEmpty()
          || isBelow(name, copies)
          || BESIDE.matcher(group(inner)).matches() && !known.test(inner)) {
        beside.merge(group(name), 1, Integer::sum);
      } else {
        stored.put(inner, name);
      }
    }
    if (!beside.isEmpty()) {
      LOG.warn(
          "{}: not used, beside the {} tensors of the model: {}",
          file.source(),
          stored.size(),
          Names.some(
              beside.entrySet().stream()
                  .map(e -> e.getKey() + " (" + e.getValue() + ")")
                  .toList()));
    }
    return new StateDict(file, stored, beside);
  }

  /** How many tensors are left out, by the beginning of their names. */
  public SortedMap<String, Integer> beside() {
    return Collections.unmodifiableSortedMap(beside);
  }

  /** Where a known name begins, at the start or after a dot; -1 if nowhere. */
  private static int start(String name, Predicate<String> known) {
    int at = 0;
    for (int level = 0; level < MAX_LEVELS; level++) {
      if (known.test(name.substring(at))) {
        return at;
      }
      at = name.indexOf('.', at) + 1;
      if (at == 0) {
        return -1;
      }
    }
    return -1;
  }

  private static boolean isBelow(String name, Set<String> prefixes) {
    int at = 0;
    for (int level = 0; level < MAX_LEVELS && !prefixes.isEmpty(); level++) {
      at = name.indexOf('.', at) + 1;
      if (at == 0) {
        return false;
      } else if (prefixes.contains(name.substring(0, at))) {
        return true;
      }
    }
    return false;
  }

  private static String group(String name) {
    int dot = name.indexOf('.');
    return dot < 0 ? name : name.substring(0, dot);
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(stored.keySet());
  }

  @Override
  public StoredTensor tensor(String name) {
    String inFile = stored.get(name);
    if (inFile == null) {
      throw Names.missing(source(), name, names());
    }
    return file.tensor(inFile).named(name);
  }

  @Override
  public Map<String, String> unsupported() {
    Map<String, String> unsupported = new LinkedHashMap<>();
    stored.forEach(
        (name, inFile) -> {
          if (file.unsupported().containsKey(inFile)) {
            unsupported.put(name, file.unsupported().get(inFile));
          }
        });
    return unsupported;
  }

  @Override
  public Map<String, String> metadata() {
    return file.metadata();
  }

  @Override
  public String source() {
    return file.source();
  }

  @Override
  public void close() {
    file.close();
  }
}
