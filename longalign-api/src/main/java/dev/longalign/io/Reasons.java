package dev.longalign.io;

import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;

/** Why something could not be read or written, in words: Java says it in names of classes. */
public final class Reasons {
  /** Of gson's messages; what follows it says what the text is and where. */
  private static final String GSON_ADVICE = "^Use JsonReader\\.\\S+ to accept ";

  private Reasons() {}

  /** Half a sentence that follows the name of a file and what could not be done with it. */
  public static String of(Throwable failure) {
    Throwable root = failure;
    while (root.getCause() != null && root.getCause() != root) {
      root = root.getCause();
    }
    if (root instanceof NoSuchFileException) {
      return "there is no such file or directory";
    } else if (root instanceof AccessDeniedException) {
      return "no permission";
    } else if (root instanceof FileAlreadyExistsException) {
      return "a file of this name is there already";
    } else if (root instanceof NotDirectoryException) {
      return "it is not a directory";
    } else if (root instanceof DirectoryNotEmptyException) {
      return "the directory is not empty";
    } else if (root instanceof FileSystemLoopException) {
      return "links lead in a circle";
    } else if (root instanceof CharacterCodingException) {
      return "it is not text in UTF-8";
    } else if (root instanceof EOFException && root.getMessage() == null) {
      return "it ends too early";
    } else if (root instanceof ClosedByInterruptException
        || root instanceof InterruptedIOException
        || root instanceof InterruptedException) {
      return "the thread was interrupted";
    } else if (root instanceof InvalidPathException invalid) {
      return path(invalid);
    }
    String text =
        root instanceof FileSystemException named // its message has the files' names before
            ? named.getReason()
            : root instanceof FileNotFoundException lost ? inBrackets(lost) : root.getMessage();
    if (text != null && !text.isBlank()) {
      return Names.printable(text.lines().findFirst().orElse("").replaceFirst(GSON_ADVICE, ""));
    }
    return root instanceof IOException ? "reading or writing failed" : words(root);
  }

  private static String path(InvalidPathException invalid) {
    boolean characters = String.valueOf(invalid.getReason()).contains("unmappable");
    return characters
        ? "its name has characters that file names cannot have in this environment ("
            + System.getProperty("sun.jnu.encoding")
            + "); set LC_ALL=C.UTF-8"
        : "no file can have this name (" + invalid.getReason() + ")";
  }

  /** {@code name (No such file or directory)}. */
  private static String inBrackets(FileNotFoundException lost) {
    String text = String.valueOf(lost.getMessage());
    int open = text.lastIndexOf(" (");
    return open < 0 || !text.endsWith(")") ? text : text.substring(open + 2, text.length() - 1);
  }

  /** {@code ArrayIndexOutOfBoundsException}: "array index out of bounds". */
  private static String words(Throwable failure) {
    return failure
        .getClass()
        .getSimpleName()
        .replaceFirst("Exception$", "")
        .replaceAll("(?<=[a-z])(?=[A-Z])", " ")
        .toLowerCase(java.util.Locale.ROOT);
  }
}
