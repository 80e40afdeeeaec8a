package dev.longalign.data;

import java.util.Objects;

/**
 * Where a Parquet file has what.
 *
 * @param caption a column of strings
 * @param picture either strings (paths of picture files), or bytes (picture files themselves), or
 *     Hugging Face's image structure of {@code bytes} and {@code path}
 */
public record ParquetColumns(String caption, String picture) {
  /** {@code caption} and {@code path}: the LongAlign dataset. */
  public static final ParquetColumns PATHS = new ParquetColumns("caption", "path");

  /** {@code caption} and {@code image}: what Hugging Face's image features are mostly called. */
  public static final ParquetColumns EMBEDDED = new ParquetColumns("caption", "image");

  public ParquetColumns {
    Objects.requireNonNull(caption, "caption");
    Objects.requireNonNull(picture, "picture");
  }
}
