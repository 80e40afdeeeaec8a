package dev.longalign.host;

import dev.longalign.LongAlignException;
import java.io.BufferedInputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.JarURLConnection;
import java.net.URL;
import java.net.URLConnection;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import java.util.zip.CRC32;

/**
 * Native libraries of jars as files of the {@link CacheFolder}. Nothing is loaded whose size and
 * checksum are not those of the jar's entry: against damage; against others' code the folder is
 * closed.
 */
public final class NativeFiles {
  static final String FOLDER = "natives";

  private static final int BUFFER = 1 << 16;

  private NativeFiles() {}

  /** A resource as it should be on disk. */
  private record Content(URL url, String name, String jar, long size, long checksum) {

    static Content of(URL url) throws IOException {
      String path = url.getPath();
      String name = path.substring(path.lastIndexOf('/') + 1);
      URLConnection connection = url.openConnection();
      connection.setUseCaches(false);
      if (connection instanceof JarURLConnection inJar) {
        try (JarFile jar = inJar.getJarFile()) {
          JarEntry entry = inJar.getJarEntry();
          String jarName = new File(jar.getName()).getName();
          return new Content(url, name, jarName, entry.getSize(), entry.getCrc());
        }
      }
      try (InputStream in = connection.getInputStream()) {
        Sum sum = Sum.of(in);
        return new Content(url, name, "", sum.size(), sum.checksum());
      }
    }

    boolean matches(Path file) throws IOException {
      if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS) || Files.size(file) != size) {
        return false;
      }
      try (InputStream in = new FileInputStream(file.toFile())) {
        return Sum.of(in).checksum() == checksum;
      }
    }

    void write(Path file) throws IOException {
      URLConnection connection = url.openConnection();
      connection.setUseCaches(false);
      try (InputStream in = new BufferedInputStream(connection.getInputStream(), BUFFER)) {
        CacheFolder.write(file, in);
      }
      if (!matches(file)) {
        throw new IOException(file + " is not what was written to it, or " + url + " is damaged");
      }
    }
  }

  private record Sum(long size, long checksum) {
    static Sum of(InputStream in) throws IOException {
      CRC32 crc = new CRC32();
      byte[] chunk = new byte[BUFFER];
      long size = 0;
      for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
        crc.update(chunk, 0, n);
        size += n;
      }
      return new Sum(size, crc.getValue());
    }
  }

  /**
   * A folder that holds these libraries and nothing else; another content has another folder.
   *
   * @param owner a class of the jar that has them
   * @param resources absolute names; those that are not there are left out
   * @return null if none is there: then the library has its own way, or is for other platforms
   */
  public static Path folder(String name, Class<?> owner, List<String> resources) {
    try {
      return CacheFolder.use(root -> unpack(root.resolve(FOLDER), name, owner, resources));
    } catch (IOException e) {
      throw new LongAlignException(
          "the native libraries of "
              + name
              + " cannot be unpacked to "
              + CacheFolder.root()
              + ": "
              + e
              + "; 170 MB are needed there, or -Dlongalign.cache names another folder",
          e);
    }
  }

  static Path unpack(Path root, String name, Class<?> owner, List<String> resources)
      throws IOException {
    List<Content> contents = new ArrayList<>();
    CRC32 identity = new CRC32();
    for (String resource : resources) {
      URL url = owner.getResource(resource);
      if (url != null) {
        Content content = Content.of(url);
        contents.add(content);
        String facts = content.name() + " " + content.size() + " " + content.checksum() + "\n";
        identity.update(facts.getBytes(StandardCharsets.UTF_8));
      }
    }
    if (contents.isEmpty()) {
      return null;
    }
    Path folder = root.resolve(name + "-" + Long.toHexString(identity.getValue()));
    for (Content content : contents) {
      Path file = folder.resolve(content.name());
      if (!content.matches(file)) {
        content.write(file);
      }
    }
    return folder;
  }

  /**
   * Deletes what differs from its jar among the files that JavaCPP has unpacked, which looks at
   * size and time alone: it unpacks them again.
   *
   * @param cache has folders with the names of jars, with their content below
   */
  static void deleteDamaged(Path cache, ClassLoader loader) throws IOException {
    if (!Files.isDirectory(cache)) {
      return;
    }
    List<Path> files;
    try (Stream<Path> all = Files.walk(cache)) {
      files = all.filter(file -> Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)).toList();
    }
    for (Path file : files) {
      Path below = cache.relativize(file);
      URL url =
          below.getNameCount() < 2
              ? null
              : loader.getResource(
                  below
                      .subpath(1, below.getNameCount())
                      .toString()
                      .replace(File.separatorChar, '/'));
      if (url != null) {
        Content content = Content.of(url);
        if (content.jar().equals(below.getName(0).toString()) && !content.matches(file)) {
          Files.delete(file);
        }
      }
    }
  }
}
