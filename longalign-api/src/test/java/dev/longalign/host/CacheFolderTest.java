package dev.longalign.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.longalign.LongAlignException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Whom the folder lets in, and what takes its place. */
@EnabledOnOs(OS.LINUX)
final class CacheFolderTest {
  private static final int SOMEBODY_ELSE = 54321;

  @TempDir Path temp;
  private Path temporaries;

  @BeforeEach
  void makeTemporaryDirectory() throws IOException {
    temporaries = Files.createDirectory(temp.resolve("tmp"));
  }

  @Test
  void isWhereTheUserSaysElseInHisCache() {
    Map<String, String> environment = Map.of("XDG_CACHE_HOME", "/x", "HOME", "/h");
    assertThat(CacheFolder.candidates("/given", environment)).containsExactly("/given");
    assertThat(CacheFolder.candidates(" ", environment)).containsExactly("/x/longalign");
    assertThat(CacheFolder.candidates(null, Map.of("XDG_CACHE_HOME", "x", "HOME", "/h")))
        .startsWith("/h/.cache/longalign");
  }

  @Test
  void isAbsoluteInAnyCase() {
    String home = System.getProperty("user.home");
    System.setProperty("user.home", "?"); // what the JVM says of a user without an entry
    try {
      assertThat(CacheFolder.candidates(null, Map.of("XDG_CACHE_HOME", "", "HOME", "home")))
          .isEmpty();
    } finally {
      System.setProperty("user.home", home);
    }
  }

  @Test
  void isMadeForItsOwnerAlone() throws IOException {
    Path folder = find(temp.resolve("a/b/c").toString());
    assertThat(folder).isEqualTo(temp.resolve("a/b/c").toRealPath());
    for (Path path : List.of(folder, folder.getParent(), folder.getParent().getParent())) {
      assertThat(mode(path)).isEqualTo("rwx------");
    }
    Path file = folder.resolve("d/e");
    CacheFolder.write(file, new ByteArrayInputStream(new byte[] {1}));
    assertThat(file).hasBinaryContent(new byte[] {1});
    assertThat(mode(file)).isEqualTo("rw-------");
    assertThat(mode(file.getParent())).isEqualTo("rwx------");
  }

  /** It may be the user's for other things, too. */
  @Test
  void leavesAFolderAsItIsThatOthersMayRead() throws IOException {
    Path folder = directory("open", "rwxr-xr-x");
    assertThat(find(folder.toString())).isEqualTo(folder.toRealPath());
    assertThat(mode(folder)).isEqualTo("rwxr-xr-x");
    CacheFolder.write(folder.resolve("natives/x"), new ByteArrayInputStream(new byte[0]));
    assertThat(mode(folder.resolve("natives"))).isEqualTo("rwx------");
  }

  @Test
  void isNotWhereOthersMayWrite() throws IOException {
    Path folder = directory("shared", "rwxrwxrwx");
    assertTemporary(find(folder.toString()));
    assertTemporary(find(folder.resolve("below").toString())); // they may exchange it
    Path link = Files.createSymbolicLink(temp.resolve("link"), folder);
    assertTemporary(find(link.resolve("beside").toString()));
    Files.setAttribute(folder, "unix:mode", 01777); // as the temporary directory is
    assertThat(find(folder.resolve("mine").toString())).isEqualTo(folder.resolve("mine"));
  }

  @Test
  void isNotWhatBelongsToSomebodyElse() throws IOException {
    assumeTrue(
        (int) Files.getAttribute(temp, "unix:uid") == 0, "the superuser, to give folders away");
    Path folder = directory("theirs", "rwxr-xr-x");
    Files.setAttribute(folder, "unix:uid", SOMEBODY_ELSE);
    assertTemporary(find(folder.toString()));
    assertTemporary(find(folder.resolve("below").toString()));
  }

  @Test
  void aFileInTheWayIsNoFolder() throws IOException {
    Path file = Files.writeString(temp.resolve("file"), "");
    assertTemporary(find(file.toString()));
    assertTemporary(find(file.resolve("below").toString()));
    assertTemporary(find("\0"));
  }

  @Test
  void withoutATemporaryDirectoryItSaysWhatToDo() throws IOException {
    Path file = Files.writeString(temp.resolve("file"), "");
    assertThatThrownBy(() -> CacheFolder.find(List.of(file.toString()), file))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining(file.toString())
        .hasMessageContaining("-Dlongalign.cache");
  }

  @Test
  void whatKilledProcessesLeftGoesAndWhatIsInUseStays() throws IOException {
    Path left = leftover("longalign-cache-left");
    Path used = leftover("longalign-cache-used");
    Path young = leftover("longalign-cache-young");
    Files.setLastModifiedTime(young, FileTime.from(Instant.now()));
    Path other = leftover("other");
    Files.createSymbolicLink(temporaries.resolve("longalign-cache-link"), other);
    try (FileChannel lock = FileChannel.open(used.resolve("lock"), StandardOpenOption.WRITE)) {
      assertThat(lock.tryLock()).isNotNull();
      assertTemporary(find());
    }
    assertThat(left).doesNotExist();
    assertThat(used.resolve("file")).exists();
    assertThat(young.resolve("file")).exists();
    assertThat(other.resolve("file")).exists();
  }

  private Path leftover(String name) throws IOException {
    Path folder = Files.createDirectory(temporaries.resolve(name));
    Files.writeString(folder.resolve("lock"), "");
    Files.writeString(folder.resolve("file"), "");
    Files.setLastModifiedTime(folder, FileTime.from(Instant.now().minus(1, ChronoUnit.HOURS)));
    return folder;
  }

  private Path find(String... candidates) {
    return CacheFolder.find(List.of(candidates), temporaries);
  }

  private void assertTemporary(Path folder) throws IOException {
    assertThat(folder).isDirectory().startsWith(temporaries.toRealPath());
    assertThat(mode(folder)).isEqualTo("rwx------");
  }

  private Path directory(String name, String mode) throws IOException {
    Path folder = Files.createDirectory(temp.resolve(name));
    return Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString(mode));
  }

  private static String mode(Path path) throws IOException {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
  }
}
