package dev.longalign.tensor.cuda;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntToDoubleFunction;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The tile that each product is computed with fastest. With {@code -Dlongalign.cuda.tune=true} it
 * is measured when a product is first met; what was ever measured for this device, driver and
 * kernels is remembered in the user's cache, a line a product.
 */
final class TileChoices {
  private static final Logger LOG = LoggerFactory.getLogger(TileChoices.class);

  private final List<Integer> tiles;
  private final boolean measuring;
  private final Path file;
  private final Map<String, Integer> choices = new TreeMap<>();

  /**
   * @param file where choices are remembered, or null
   */
  TileChoices(List<Integer> tiles, Path file, boolean measuring) {
    this.tiles = tiles;
    this.file = file;
    this.measuring = measuring;
    if (file != null && Files.exists(file)) {
      read();
    }
  }

  static TileChoices of(CudaDevice device, List<Integer> tiles) {
    boolean measuring = Boolean.getBoolean("longalign.cuda.tune");
    try {
      Path folder = UserCache.folder("tiles");
      return new TileChoices(tiles, folder.resolve(key(device) + ".txt"), measuring);
    } catch (IOException e) {
      if (measuring) {
        LOG.warn("Measured tiles cannot be remembered: {}", e.toString());
      }
      return new TileChoices(tiles, null, measuring);
    }
  }

  private static String key(CudaDevice device) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      String machine = device.name() + " " + device.capability() + " " + CudaDriver.version();
      digest.update(machine.getBytes(StandardCharsets.UTF_8));
      for (String source : Kernels.PRODUCT_SOURCES) {
        byte[] bytes = Kernels.resource(source);
        digest.update(bytes == null ? new byte[0] : bytes);
      }
      return HexFormat.of().formatHex(digest.digest(), 0, 16);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Whether anything is remembered or will be. */
  boolean matter() {
    return measuring || !choices.isEmpty();
  }

  /** The remembered tile, or {@code otherwise}. */
  int get(String product, int otherwise) {
    return choices.getOrDefault(product, otherwise);
  }

  /** Whether {@link #measure} should be called for this product. */
  boolean wanted(String product) {
    return measuring && !choices.containsKey(product);
  }

  /**
   * @param seconds how long the product takes with a tile
   * @return the fastest
   */
  int measure(String product, IntToDoubleFunction seconds) {
    int best = tiles.get(0);
    double least = Double.POSITIVE_INFINITY;
    for (int tile : tiles) {
      double taken = seconds.applyAsDouble(tile);
      LOG.debug("{} with tiles of {}: {} s", product, tile, taken);
      if (taken < least) {
        least = taken;
        best = tile;
      }
    }
    choices.put(product, best);
    write();
    return best;
  }

  private void read() {
    try {
      for (String line : Files.readAllLines(file)) {
        int at = line.lastIndexOf(' ');
        int tile = Integer.parseInt(line.substring(at + 1));
        if (at <= 0 || !tiles.contains(tile)) {
          throw new LongAlignException("expected a product and one of " + tiles + ": " + line);
        }
        choices.put(line.substring(0, at), tile);
      }
    } catch (IOException | NumberFormatException | LongAlignException e) {
      LOG.warn("{} is not used: {}", file, e.toString());
      choices.clear();
    }
  }

  private void write() {
    if (file == null) {
      return;
    }
    String text =
        choices.entrySet().stream()
            .map(choice -> choice.getKey() + " " + choice.getValue() + "\n")
            .collect(Collectors.joining());
    try {
      UserCache.store(file, text.getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      LOG.warn("Measured tiles cannot be remembered in {}: {}", file, e.toString());
    }
  }
}
