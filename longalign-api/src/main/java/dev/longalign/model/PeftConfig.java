package dev.longalign.model;

import com.google.gson.JsonElement;
import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import dev.longalign.io.Names;
import dev.longalign.io.TensorFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What PEFT's {@code LoraConfig} says of factors that have no alpha of their own: it lies in {@code
 * adapter_config.json} beside them, or, as diffusers writes it, in the metadata of their file. The
 * rank follows from their shapes; a config that says otherwise belongs to another file.
 */
final class PeftConfig {
  private static final Logger LOG = LoggerFactory.getLogger(PeftConfig.class);

  /** Settings that change what the factors mean, if they are set at all. */
  private static final List<String> NOT_SUPPORTED =
      List.of(
          "use_dora",
          "lora_bias",
          "use_qalora",
          "use_bdlora",
          "modules_to_save",
          "layer_replication",
          "target_parameters",
          "trainable_token_indices",
          "alora_invocation_tokens",
          "arrow_config",
          "kasa_config",
          "monteclora_config");

  /** Initialisations that change the model beneath, which the factors then do not fit. */
  private static final Pattern CHANGES_BASE =
      Pattern.compile("(?i)(pissa|olora|corda|loftq|lora_?ga).*");

  private static final Pattern PLAIN = Pattern.compile("\\^?[A-Za-z0-9_.]+");

  private static final int MAX_PATTERN_LENGTH = 500;

  /** Characters that the matching of all patterns may look at: some are written to take forever. */
  private static final int MAX_WORK = 20_000_000;

  /** Absent where there is no config. */
  private final Config config;

  private final String prefix;
  private final List<Rule> ranks;
  private final List<Rule> alphas;
  private int work;

  private PeftConfig(Config config, String prefix) {
    this.config = config;
    this.prefix = prefix;
    this.ranks = patterns("rank_pattern");
    this.alphas = patterns("alpha_pattern");
    if (config != null) {
      refuseOthers();
    }
  }

  static PeftConfig none() {
    return new PeftConfig(null, "");
  }

  /** The config that belongs to a file. */
  static PeftConfig of(Path path, TensorFile file) {
    Path beside = path.resolveSibling("adapter_config.json");
    if (path.getFileName().toString().startsWith("adapter_model") && Files.exists(beside)) {
      return new PeftConfig(Config.read(beside), "");
    }
    String metadata = file.metadata().get("lora_adapter_metadata");
    return metadata == null
        ? none()
        : new PeftConfig(Config.parse(file.source() + " metadata", metadata), "unet.");
  }

  /**
   * By how much {@code up down} is multiplied.
   *
   * @throws LongAlignException if the config gives the layer another rank
   */
  float scale(String layer, int rank) {
    if (config == null) {
      return 1;
    }
    Float patterned = match(ranks, layer);
    String key = prefix + "r";
    float expected = patterned != null ? patterned : config.has(key) ? config.getFloat(key) : rank;
    if (expected != rank) {
      throw new LongAlignException(
          config.source()
              + ": layer "
              + layer
              + ": expected rank "
              + expected
              + ", found factors of rank "
              + rank
              + "; use the config that was saved with these weights");
    }
    Float alpha = match(alphas, layer);
    float numerator = alpha != null ? alpha : config.getFloat(prefix + "lora_alpha", rank);
    boolean rootRank = config.getBoolean(prefix + "use_rslora", false);
    return numerator / (rootRank ? (float) Math.sqrt(rank) : rank);
  }

  private void refuseOthers() {
    String type = config.getString(prefix + "peft_type", "LORA");
    if (!type.equalsIgnoreCase("LORA")) {
      throw config.refusal(prefix + "peft_type", "LORA (other kinds are not supported)");
    }
    for (String key : NOT_SUPPORTED) {
      if (isSet(config.json().get(prefix + key))) {
        throw config.refusal(prefix + key, "nothing (it is not supported)");
      }
    }
    if (config.has(prefix + "bias") && !config.getString(prefix + "bias").equals("none")) {
      throw config.refusal(prefix + "bias", "none (trained biases are not supported)");
    }
    JsonElement init = config.json().get(prefix + "init_lora_weights");
    if (init != null
        && init.isJsonPrimitive()
        && CHANGES_BASE.matcher(init.getAsString()).matches()) {
      throw config.refusal(
          prefix + "init_lora_weights",
          "an initialisation that leaves the model as it is (convert it with PEFT's"
              + " path_initial_model_for_weight_conversion)");
    }
    if (config.getBoolean(prefix + "fan_in_fan_out", false)) {
      LOG.warn(
          "{}: fan_in_fan_out is set, which has no meaning for the layers of a UNet; as in PEFT it"
              + " is taken for false",
          config.source());
    }
  }

  private static boolean isSet(JsonElement value) {
    return value != null
        && !value.isJsonNull()
        && !(value.isJsonPrimitive() && value.getAsString().equals("false"))
        && !(value.isJsonArray() && value.getAsJsonArray().isEmpty())
        && !(value.isJsonObject() && value.getAsJsonObject().isEmpty());
  }

  private List<Rule> patterns(String name) {
    List<Rule> rules = new ArrayList<>();
    if (config == null || !config.has(prefix + name)) {
      return rules;
    }
    Config values = config.getConfig(prefix + name);
    for (String key : values.keys()) {
      float value = values.getFloat(key);
      try {
        if (key.length() > MAX_PATTERN_LENGTH) {
          throw new LongAlignException(
              values.source() + ": a pattern of " + key.length() + " characters");
        }
        boolean plain = PLAIN.matcher(key).matches();
        // A key stands for the end of a layer's path, from a dot on: PEFT, get_pattern_key.
        Pattern pattern = plain ? null : Pattern.compile("(.*\\.)?(" + key + ")");
        rules.add(new Rule(key, pattern, value));
      } catch (PatternSyntaxException | StackOverflowError invalid) {
        throw new LongAlignException(
            values.source() + ": '" + Names.printable(key) + "' is no pattern", invalid);
      }
    }
    return rules;
  }

  /** Of the first pattern that fits, null if none does. */
  private Float match(List<Rule> rules, String layer) {
    for (Rule rule : rules) {
      try {
        if (rule.pattern == null
            ? rule.isEndOf(layer)
            : rule.pattern.matcher(new Watched(layer)).matches()) {
          return rule.value;
        }
      } catch (StackOverflowError deep) {
        throw tooCostly();
      }
    }
    return null;
  }

  /**
   * @param pattern null for a key of names and dots, as most are, which is quicker without
   */
  private record Rule(String key, Pattern pattern, float value) {
    /** As the expression would match: a dot stands for any character. */
    boolean isEndOf(String layer) {
      boolean whole = key.startsWith("^");
      String end = whole ? key.substring(1) : key;
      int start = layer.length() - end.length();
      boolean fits = start == 0 || start > 0 && !whole && layer.charAt(start - 1) == '.';
      for (int i = 0; fits && i < end.length(); i++) {
        fits = end.charAt(i) == '.' || end.charAt(i) == layer.charAt(start + i);
      }
      return fits;
    }
  }

  private LongAlignException tooCostly() {
    return new LongAlignException(
        config.source() + ": its patterns take too long to compare with the names of layers");
  }

  /** A text that counts how often it is looked at. */
  private final class Watched implements CharSequence {
    private final String text;

    Watched(String text) {
      this.text = text;
    }

    @Override
    public char charAt(int index) {
      if (++work > MAX_WORK) {
        throw tooCostly();
      }
      return text.charAt(index);
    }

    @Override
    public int length() {
      return text.length();
    }

    @Override
    public CharSequence subSequence(int start, int end) {
      return text.substring(start, end);
    }

    @Override
    public String toString() {
      return text;
    }
  }
}
