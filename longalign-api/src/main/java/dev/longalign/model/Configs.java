package dev.longalign.model;

import dev.longalign.LongAlignException;
import dev.longalign.io.Config;
import java.util.List;

/**
 * Refusals of what a config asks for and this library does not do; a key that is absent or null is
 * always fine.
 */
final class Configs {
  private Configs() {}

  static void expectOneOf(Config config, String key, String... supported) {
    if (config.has(key) && !List.of(supported).contains(config.getString(key))) {
      throw unsupported(config, key, String.join(" or ", supported));
    }
  }

  static void expectAll(Config config, String key, String supported) {
    if (config.has(key) && !config.getStringList(key).stream().allMatch(supported::equals)) {
      throw unsupported(config, key, "only " + supported);
    }
  }

  static void expectAbsent(Config config, String... keys) {
    for (String key : keys) {
      if (config.has(key)) {
        throw unsupported(config, key, "null");
      }
    }
  }

  /** Also false for every level. */
  static void expectFalse(Config config, String... keys) {
    for (String key : keys) {
      if (config.has(key)
          && (config.isList(key)
              ? config.getBooleanList(key).contains(true)
              : config.getBoolean(key))) {
        throw unsupported(config, key, "false");
      }
    }
  }

  static void expectOne(Config config, String... keys) {
    for (String key : keys) {
      if (config.has(key) && config.getDouble(key) != 1) {
        throw unsupported(config, key, "1");
      }
    }
  }

  private static LongAlignException unsupported(Config config, String key, String supported) {
    return config.refusal(key, supported + " (other values are not supported)");
  }
}
