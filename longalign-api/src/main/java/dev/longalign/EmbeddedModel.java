package dev.longalign;

import dev.longalign.host.CacheFolder;
import dev.longalign.io.Reasons;
import java.io.BufferedInputStream;
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The small Long Stable Diffusion that travels in the jar: a diffusers directory with {@code t5/},
 * {@code adapter/}, {@code denscore/}, {@code lora_vis.pt} and {@code sd15-reward.pt}, the UNet in
 * fp16, 32 MB.
 *
 * <p>{@link #directory()} puts it in the {@linkplain #cacheRoot() cache folder} under the hash of
 * its content, and checks every file's size and SHA-256, so that a damaged cache repairs itself.
 * Every file is written beside its place and renamed, so threads and processes may call this at
 * once.
 */
public final class EmbeddedModel {
  /** What the embedded model was tuned for; 7.5 oversaturates it. */
  public static final float GUIDANCE_SCALE = 3f;

  private static final Logger LOG = LoggerFactory.getLogger(EmbeddedModel.class);
  private static final String NAME = "longsd-mini";
  private static final String RESOURCES = "embedded/";

  private EmbeddedModel() {}

  /**
   * The model's directory on disk, complete and checked.
   *
   * @throws LongAlignException if the folder cannot hold it
   */
  public static Path directory() {
    try {
      return CacheFolder.use(EmbeddedModel::directory);
    } catch (IOException e) {
      throw new LongAlignException(
          "embedded model: expected 32 MB of writable space, found "
              + Reasons.of(e)
              + "; make room, or set -Dlongalign.cache to another folder",
          e);
    }
  }

  /**
   * The folder that holds what this library caches, natives among it: absolute, and closed to all
   * but its owner. {@code -Dlongalign.cache}, else {@code $XDG_CACHE_HOME/longalign}, else {@code
   * ~/.cache/longalign}, else a temporary one that goes when the process ends.
   *
   * @throws LongAlignException if there is neither a cache nor a temporary directory that can be
   *     written to
   */
  public static Path cacheRoot() {
    return CacheFolder.root();
  }

  static Path directory(Path cache) throws IOException {
    List<Entry> index = index();
    Path directory = cache.resolve(contentHash(index).substring(0, 16)).resolve(NAME);
    complete(directory, index);
    return directory;
  }

  /** Writes every file that is missing or differs from the index. */
  private static void complete(Path directory, List<Entry> index) throws IOException {
    for (Entry entry : index) {
      Path file = directory.resolve(entry.path());
      if (entry.matches(file)) {
        continue;
      }
      if (Files.exists(file)) {
        LOG.warn("{} is damaged; it is restored from the jar", file);
        if (Files.isDirectory(file)) {
          Files.delete(file); // a rename replaces files only
        }
      }
      try (InputStream in = resource(NAME + "/" + entry.path())) {
        CacheFolder.write(file, in);
      }
      if (!entry.matches(file)) {
        throw new IOException(file + ": not what was written to it, or a damaged longalign jar");
      }
    }
  }

  static List<Entry> index() {
    List<Entry> entries = new ArrayList<>();
    try (BufferedReader reader =
        new BufferedReader(
            new InputStreamReader(resource(NAME + ".index"), StandardCharsets.UTF_8))) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        String[] fields = line.split(" ", 3);
        entries.add(new Entry(fields[0], Long.parseLong(fields[1]), fields[2]));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return entries;
  }

  private static String contentHash(List<Entry> index) {
    MessageDigest sha256 = sha256();
    index.forEach(entry -> sha256.update(entry.toString().getBytes(StandardCharsets.UTF_8)));
    return HexFormat.of().formatHex(sha256.digest());
  }

  private static InputStream resource(String name) throws IOException {
    InputStream in = EmbeddedModel.class.getResourceAsStream(RESOURCES + name);
    if (in == null) {
      throw new IOException(
          RESOURCES
              + name
              + ": expected in the longalign-api jar, found nothing; the jar is not whole");
    }
    return new BufferedInputStream(in, 1 << 16);
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
  }

  /** One line of the index: SHA-256, size and the path below the model's directory. */
  record Entry(String sha256, long size, String path) {

    boolean matches(Path file) throws IOException {
      if (!Files.isRegularFile(file) || Files.size(file) != size) {
        return false;
      }
      MessageDigest digest = EmbeddedModel.sha256();
      byte[] buffer = new byte[1 << 16];
      try (InputStream in = new FileInputStream(file.toFile())) { // no channel: interrupts close it
        for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
          digest.update(buffer, 0, n);
        }
      }
      return HexFormat.of().formatHex(digest.digest()).equals(sha256);
    }
  }
}
