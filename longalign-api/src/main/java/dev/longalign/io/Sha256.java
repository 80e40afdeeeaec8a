package dev.longalign.io;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** SHA-256 (FIPS 180-4), as 64 hexadecimal digits. */
public final class Sha256 {
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
      throw new LongAlignException(file + " cannot be read: " + unreadable, unreadable);
    }
    return sha256.hex();
  }
}
