package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * By what a file's change shows: its size, the time of its last change and, where the system has
 * one, its identity, which a renamed file takes with it.
 */
public record FileStamp(Path file, long size, FileTime changed, Object identity) {

  static FileStamp of(Path file) throws IOException {
    BasicFileAttributes facts = Files.readAttributes(file, BasicFileAttributes.class);
    return new FileStamp(file, facts.size(), facts.lastModifiedTime(), facts.fileKey());
  }

  /** Of the files of these folders, those below left out. */
  public static List<FileStamp> ofFolders(List<Path> folders) {
    List<FileStamp> stamps = new ArrayList<>();
    for (Path folder : folders) {
      try (Stream<Path> files = Files.list(folder)) {
        for (Path file : files.filter(Files::isRegularFile).toList()) {
          stamps.add(of(file));
        }
      } catch (IOException unreadable) {
        // Who reads it will say what is wrong with it.
      }
    }
    return stamps;
  }

  /**
   * @throws LongAlignException if the file is another now
   */
  public void check() {
    FileStamp now;
    try {
      now = of(file);
    } catch (IOException gone) {
      throw new LongAlignException(
          Names.of(file) + " changed while it was open: it cannot be read any more: " + gone, gone);
    }
    if (!equals(now)) {
      String what =
          now.size != size
              ? "it had " + size + " bytes, now " + now.size
              : Objects.equals(now.identity, identity)
                  ? "it was written to at " + now.changed
                  : "another file has taken its place";
      throw new LongAlignException(
          Names.of(file)
              + " changed while it was open: "
              + what
              + "; open it again, and let files be as they are while they are in use");
    }
  }
}
