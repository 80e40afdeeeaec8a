package dev.longalign;

import dev.longalign.io.Reasons;
import java.io.BufferedInputStream;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The small Long Stable Diffusion that travels in the jar: a diffusers directory with {@code t5/},
 * {@code adapter/}, {@code denscore/}, {@code lora_vis.pt} and {@code sd15-reward.pt}, the UNet in
 * fp16, 32 MB.
 *
 * <p>{@link #directory()} puts it in a per-user cache ({@code -Dlongalign.cache}, else {@code
 * $XDG_CACHE_HOME/longalign}, else {@code ~/.cache/longalign}) under the hash of its content, and
 * checks every file's size and SHA-256, so that a damaged cache repairs itself. Every file is
 * written beside its place and renamed, so threads and processes may call this at once. Where the
 * cache cannot be written, a temporary directory serves until the process ends.
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
   * @throws LongAlignException if neither the cache nor a temporary directory can hold it
   */
  public static Path directory() {
    return directory(cacheRoot());
  }

  /** The directory that holds what this library caches; it need not exist yet. */
  public static Path cacheRoot() {
    String property = System.getProperty("longalign.cache");
    if (property != null && !property.isBlank()) {
      return Path.of(property);
    }
    String xdg = System.getenv("XDG_CACHE_HOME");
    Path base =
        xdg != null && Path.of(xdg).isAbsolute()
            ? Path.of(xdg)
            : Path.of(System.getProperty("user.home"), ".cache");
    return base.resolve("longalign");
  }

  static Path directory(Path cache) {
    List<Entry> index = index();
    Path directory = cache.resolve(contentHash(index).substring(0, 16)).resolve(NAME);
    try {
      complete(directory, index);
      return directory;
    } catch (IOException e) {
      LOG.warn(
          "the embedded model cannot be cached in {} ({}); it is unpacked to a temporary directory"
              + " instead. Set -Dlongalign.cache to a directory that can be written to.",
          directory,
          e.toString());
      return temporary(index, directory, e);
    }
  }

  private static Path temporary(List<Entry> index, Path wanted, IOException why) {
    try {
      Path created = Files.createTempDirectory("longalign-");
      Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(created)));
      Path directory = created.resolve(NAME);
      complete(directory, index);
      return directory;
    } catch (IOException e) {
      e.addSuppressed(why);
      throw new LongAlignException(
          "embedded model: expected about 32 MB of writable space in "
              + wanted
              + " or in the temporary directory, found "
              + why
              + " and "
              + Reasons.of(e)
              + "; set -Dlongalign.cache to a directory that can be written to",
          e);
    }
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
      Files.createDirectories(file.getParent());
      Path part = Files.createTempFile(file.getParent(), ".part-", null);
      try (InputStream in = resource(NAME + "/" + entry.path())) {
        Files.copy(in, part, StandardCopyOption.REPLACE_EXISTING);
        if (!entry.matches(part)) {
          throw new IOException(part + ": not what was written to it, or a damaged longalign jar");
        }
        Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      } finally {
        Files.deleteIfExists(part);
      }
    }
  }

  private static void delete(Path directory) {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    } catch (IOException | UncheckedIOException e) {
      LOG.debug("{} was not deleted", directory, e);
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
      try (InputStream in = Files.newInputStream(file)) {
        for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
          digest.update(buffer, 0, n);
        }
      }
      return HexFormat.of().formatHex(digest.digest()).equals(sha256);
    }
  }
}
