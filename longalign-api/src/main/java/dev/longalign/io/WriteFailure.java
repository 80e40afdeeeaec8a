package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/** Why a file or directory could not be written, for a person. */
final class WriteFailure {
  private WriteFailure() {}

  /**
   * @param target what was to be written
   * @param needed how many bytes it would have had; 0 if that is not known
   */
  static LongAlignException of(Path target, long needed, Throwable failure) {
    Throwable root = failure;
    while (root.getCause() != null) { // ImageIO wraps what the disk said
      root = root.getCause();
    }
    boolean named = root instanceof FileSystemException; // its message has the files' names before
    String reason =
        String.valueOf(named ? ((FileSystemException) root).getReason() : root.getMessage());
    String lower = reason.toLowerCase(Locale.ROOT);
    Path parent = target.toAbsolutePath().getParent();
    String explanation;
    if (lower.contains("no space left")
        || lower.contains("not enough space")
        || lower.contains("quota")) {
      explanation =
          "the disk is full ("
              + reason
              + space(parent, needed)
              + "); free some space or write elsewhere";
    } else if (lower.contains("file too large")) {
      explanation =
          "files may not be so large here ("
              + reason
              + space(parent, needed)
              + "); raise the limit (ulimit -f) or write to another file system";
    } else if (parent != null && !Files.exists(parent)) {
      explanation = "the directory " + parent + " does not exist; create it first";
    } else if (parent != null && !Files.isDirectory(parent)) {
      explanation = parent + " is not a directory";
    } else if (root instanceof AccessDeniedException || lower.contains("read-only")) {
      explanation = "no permission to write into " + parent;
    } else {
      explanation = Reasons.of(root);
    }
    return new LongAlignException(target + " cannot be written: " + explanation, failure);
  }

  /** What would be needed and what is there, once the unfinished file is gone. */
  private static String space(Path directory, long needed) {
    String text = needed > 0 ? String.format(Locale.ROOT, ", %,d bytes needed", needed) : "";
    try {
      long free = Files.getFileStore(directory).getUsableSpace();
      return text + String.format(Locale.ROOT, ", %,d bytes free", free);
    } catch (IOException unknown) {
      return text;
    }
  }
}
