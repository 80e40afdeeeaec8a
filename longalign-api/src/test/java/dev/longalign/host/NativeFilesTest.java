package dev.longalign.host;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is unpacked is what the jar has, whatever lay there. */
final class NativeFilesTest {
  private static final List<String> RESOURCES =
      List.of("/lib/one.so", "/lib/two.so", "/lib/not-there.so");

  @TempDir Path temp;
  private URLClassLoader loader;
  private Class<?> owner;

  /** A class of the jar. */
  public static final class Owner {}

  @BeforeEach
  void makeJar() throws Exception {
    Path jar = temp.resolve("natives-1.jar");
    String file = Owner.class.getName().replace('.', '/') + ".class";
    try (JarOutputStream out = new JarOutputStream(Files.newOutputStream(jar));
        InputStream code = Owner.class.getClassLoader().getResourceAsStream(file)) {
      put(out, file, code.readAllBytes());
      put(out, "lib/one.so", "first library".getBytes(StandardCharsets.UTF_8));
      put(out, "lib/two.so", "second library".getBytes(StandardCharsets.UTF_8));
    }
    loader = new URLClassLoader(new URL[] {jar.toUri().toURL()}, null);
    owner = loader.loadClass(Owner.class.getName());
  }

  private static void put(JarOutputStream jar, String name, byte[] content) throws IOException {
    jar.putNextEntry(new JarEntry(name));
    jar.write(content);
  }

  @AfterEach
  void close() throws IOException {
    loader.close();
  }

  private Path unpack() throws IOException {
    return NativeFiles.unpack(temp.resolve("cache"), "some", owner, RESOURCES);
  }

  @Test
  void unpacksWhatThereIs() throws IOException {
    Path folder = unpack();
    assertThat(folder.resolve("one.so")).hasContent("first library");
    assertThat(folder.resolve("two.so")).hasContent("second library");
    assertThat(folder).isDirectoryNotContaining("glob:**not-there.so");
    assertThat(NativeFiles.unpack(temp, "some", owner, List.of("/lib/not-there.so"))).isNull();
  }

  @Test
  void anotherContentHasAnotherFolder() throws IOException {
    Path one = NativeFiles.unpack(temp, "some", owner, List.of("/lib/one.so"));
    assertThat(one.getParent()).isEqualTo(temp);
    assertThat(NativeFiles.unpack(temp, "some", owner, List.of("/lib/two.so"))).isNotEqualTo(one);
  }

  @Test
  void restoresWhatDiffersInOneByte() throws IOException {
    Path file = unpack().resolve("one.so");
    FileTime time = Files.getLastModifiedTime(file);
    Files.writeString(file, "First library");
    Files.setLastModifiedTime(file, time);
    unpack();
    assertThat(file).hasContent("first library");
  }

  @Test
  void followsNoLink() throws IOException {
    Path file = unpack().resolve("one.so");
    Path elsewhere = Files.writeString(temp.resolve("elsewhere"), "first library");
    Files.delete(file);
    Files.createSymbolicLink(file, elsewhere);
    unpack();
    assertThat(Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)).isTrue();
    assertThat(file).hasContent("first library");
  }

  @Test
  void touchesNothingThatIsWhole() throws IOException {
    Path file = unpack().resolve("one.so");
    FileTime longAgo = FileTime.fromMillis(1000);
    Files.setLastModifiedTime(file, longAgo);
    unpack();
    assertThat(Files.getLastModifiedTime(file)).isEqualTo(longAgo);
  }

  @Test
  void javaCppsFilesAreComparedWithTheirJar() throws IOException {
    Path cache = temp.resolve("javacpp");
    Path whole = write(cache.resolve("natives-1.jar/lib/one.so"), "first library");
    Path damaged = write(cache.resolve("natives-1.jar/lib/two.so"), "Second library");
    Path ofAnotherJar = write(cache.resolve("natives-2.jar/lib/two.so"), "Second library");
    Path unknown = write(cache.resolve("natives-1.jar/lib/unknown.so"), "");
    Path lock = write(cache.resolve(".lock"), "");
    NativeFiles.deleteDamaged(cache, loader);
    assertThat(damaged).doesNotExist();
    assertThat(List.of(whole, ofAnotherJar, unknown, lock)).allMatch(Files::exists);
    NativeFiles.deleteDamaged(temp.resolve("none"), loader);
  }

  private static Path write(Path file, String content) throws IOException {
    Files.createDirectories(file.getParent());
    return Files.writeString(file, content);
  }
}
