package dev.longalign.text;

import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import java.nio.file.Path;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A tokenizer and the encoder that reads its ids, which belong together: that is checked when they
 * are opened, not at the first text that has a token of another model.
 */
public record TextReader(Tokenizer tokenizer, TextEncoder encoder) implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(TextReader.class);

  /**
   * CLIP's.
   *
   * @throws LongAlignException if a file is missing or damaged, or the two do not fit
   */
  public static TextReader clip(
      EncoderProvider provider, Path tokenizer, Path encoder, int threads) {
    return open(
        provider.clipTokenizer(tokenizer),
        () -> provider.clipTextEncoder(encoder, threads),
        tokenizer,
        encoder,
        false);
  }

  /**
   * T5's.
   *
   * @throws LongAlignException if a file is missing or damaged, or the two do not fit
   */
  public static TextReader t5(EncoderProvider provider, Path directory, int threads) {
    return open(
        provider.t5Tokenizer(directory),
        () -> provider.t5Encoder(directory, threads),
        directory,
        directory,
        true);
  }

  private static TextReader open(
      Tokenizer tokenizer, Supplier<TextEncoder> opening, Path files, Path model, boolean padded) {
    TextEncoder encoder = null;
    try {
      encoder = opening.get();
      checkRows(tokenizer, files, encoder.vocabSize(), model, padded);
      return new TextReader(tokenizer, encoder);
    } catch (RuntimeException e) {
      tokenizer.close();
      if (encoder != null) {
        encoder.close();
      }
      throw e;
    }
  }

  /**
   * Compares a tokenizer's ids with the rows of a token embedding.
   *
   * @param files the tokenizer's
   * @param padded whether the model may have rows that no token uses, as T5 has; else the log names
   *     them
   * @throws LongAlignException if the tokenizer gives ids beyond the rows
   */
  public static void checkRows(
      Tokenizer tokenizer, Path files, int rows, Path model, boolean padded) {
    int ids = tokenizer.size();
    if (ids > rows) {
      throw new LongAlignException(
          files
              + ": expected ids from 0 to "
              + (rows - 1)
              + ", for which "
              + model
              + " has embeddings, found ids to "
              + (ids - 1)
              + " (\""
              + Names.printable(tokenizer.token(ids - 1))
              + "\"); use the tokenizer that belongs to this model");
    }
    if (ids < rows && !padded) {
      LOG.warn(
          "{} has {} embeddings, but {} knows {} tokens: no text reaches embeddings {} to {}. A token"
              + " that was added to this model (a textual inversion) is missing in the tokenizer's"
              + " files.",
          model,
          rows,
          files,
          ids,
          ids,
          rows - 1);
    }
  }

  @Override
  public void close() {
    tokenizer.close();
    encoder.close();
  }
}
