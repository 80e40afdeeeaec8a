package dev.longalign.tensor.cuda;

import dev.longalign.LongAlignException;
import dev.longalign.host.CacheFolder;
import java.io.ByteArrayInputStream;
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
import java.util.function.ToDoubleFunction;
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

  private final boolean measuring;
  private final Path file;
  private final Map<String, ProductTile> choices = new TreeMap<>();

  /**
   * @param file where choices are remembered, or null
   */
  TileChoices(Path file, boolean measuring) {
    this.file = file;
    this.measuring = measuring;
    if (file != null && Files.exists(file)) {
      read();
    }
  }

  static TileChoices of(CudaDevice device) {
    boolean measuring = Boolean.getBoolean("longalign.cuda.tune");
    return new TileChoices(
        CacheFolder.root().resolve("tiles").resolve(key(device) + ".txt"), measuring);
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

  boolean measuring() {
    return measuring;
  }

  /** The remembered tile, or null. */
  ProductTile get(String product) {
    return choices.get(product);
  }

  /**
   * @param tiles at least one
   * @param seconds how long the product takes with a tile
   * @return the fastest
   */
  ProductTile measure(
      String product, List<ProductTile> tiles, ToDoubleFunction<ProductTile> seconds) {
    ProductTile best = tiles.get(0);
    double least = Double.POSITIVE_INFINITY;
    for (ProductTile tile : tiles) {
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
        ProductTile tile = ProductTile.parse(line.substring(at + 1));
        if (at <= 0 || tile == null) {
          throw new LongAlignException("expected a product and a tile: " + line);
        }
        choices.put(line.substring(0, at), tile);
      }
    } catch (IOException | LongAlignException e) {
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
      CacheFolder.write(file, new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)));
    } catch (IOException e) {
      LOG.warn("Measured tiles cannot be remembered in {}: {}", file, e.toString());
    }
  }
}
