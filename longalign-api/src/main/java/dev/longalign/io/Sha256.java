package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** SHA-256 (FIPS 180-4), as 64 hexadecimal digits. */
public final class Sha256 {
  private static final long LARGE = 16L << 20;
  private static final int PIECE = 1 << 16;
  private static final int PIECES = 64;

  private final MessageDigest digest;

  /** Of nothing yet. */
  public Sha256() {
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException("every Java platform has SHA-256", impossible);
    }
  }

  /** Goes on with a text in UTF-8. */
  public Sha256 update(String text) {
    digest.update(text.getBytes(StandardCharsets.UTF_8));
    return this;
  }

  public Sha256 update(byte[] bytes) {
    digest.update(bytes);
    return this;
  }

  /** The digits; begins anew. */
  public String hex() {
    return HexFormat.of().formatHex(digest.digest());
  }

  /**
   * Of a file's content or, of a file above 16 MiB, of its length and 64 pieces of 64 KiB at equal
   * distances: tells weights from other weights without reading gigabytes, but not every changed
   * byte.
   *
   * @throws LongAlignException if it cannot be read
   */
  public static String sketch(Path file) {
    try (RandomAccessFile in = new RandomAccessFile(file.toFile(), "r")) {
      long length = in.length();
      if (length <= LARGE) {
        return of(file);
      }
      Sha256 sha256 = new Sha256().update(length + "\n");
      byte[] piece = new byte[PIECE];
      for (int i = 0; i < PIECES; i++) {
        in.seek((length - PIECE) / (PIECES - 1) * i);
        in.readFully(piece);
        sha256.digest.update(piece);
      }
      return sha256.hex();
    } catch (IOException unreadable) {
      throw new LongAlignException(file + " cannot be read: " + unreadable, unreadable);
    }
  }

  /**
   * Of a file's content.
   *
   * @throws LongAlignException if it cannot be read
   */
  public static String of(Path file) {
    Sha256 sha256 = new Sha256();
    try (InputStream in = Files.newInputStream(file)) {
      byte[] chunk = new byte[1 << 20];
      for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
        sha256.digest.update(chunk, 0, n);
      }
    } catch (IOException unreadable) {
      throw new LongAlignException(file + " cannot be read: " + Reasons.of(unreadable), unreadable);
    }
    return sha256.hex();
  }
}
