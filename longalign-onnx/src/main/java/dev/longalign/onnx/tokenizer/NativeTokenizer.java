package dev.longalign.onnx.tokenizer;

import ai.djl.huggingface.tokenizers.Encoding;
import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import dev.longalign.LongAlignException;
import dev.longalign.text.Tokenizer;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.stream.Collectors;

/** A tokenizer.json run by Hugging Face's own library, which ships inside the DJL jar. */
final class NativeTokenizer implements Tokenizer {

  /** What is known beside the tokenizer itself. */
  record Facts(Map<Integer, String> tokens, int bosId, int eosId, int padId, int modelMaxLength) {}

  private final Path source;
  private final HuggingFaceTokenizer tokenizer;
  private final Facts facts;
  private final ReadWriteLock lock =
      new ReentrantReadWriteLock(); // encoding must not meet freed memory
  private boolean closed;

  /**
   * @param json a tokenizer.json; its truncation and padding are ignored
   * @param source the file or directory it came from, for messages
   */
  NativeTokenizer(JsonObject json, Path source, Facts facts) {
    this.source = source;
    this.facts = facts;
    JsonObject plain = new JsonObject();
    json.entrySet().forEach(e -> plain.add(e.getKey(), e.getValue()));
    plain.add("truncation", JsonNull.INSTANCE);
    plain.add("padding", JsonNull.INSTANCE);
    tokenizer = open(plain.toString(), source);
  }

  private static HuggingFaceTokenizer open(String json, Path source) {
    // On a machine with CUDA the library would otherwise look for a GPU build of itself on the
    // network.
    if (System.getenv("RUST_FLAVOR") == null && System.getProperty("RUST_FLAVOR") == null) {
      System.setProperty("RUST_FLAVOR", "cpu");
    }
    Map<String, String> options =
        Map.of(
            "addSpecialTokens", "true", "truncation", "do_not_truncate", "padding", "do_not_pad");
    try (ByteArrayInputStream in =
        new ByteArrayInputStream(json.getBytes(StandardCharsets.UTF_8))) {
      return HuggingFaceTokenizer.newInstance(in, options);
    } catch (IOException | RuntimeException e) {
      throw new LongAlignException(
          source
              + ": expected a tokenizer that Hugging Face tokenizers can read, found: "
              + e.getMessage()
              + "; download the tokenizer again",
          e);
    } catch (LinkageError e) {
      throw new LongAlignException(
          "the native library of ai.djl.huggingface:tokenizers cannot be loaded ("
              + e.getMessage()
              + "); it is unpacked to the folder DJL_CACHE_DIR, which must be writable",
          e);
    }
  }

  @Override
  public int[] encode(String text) {
    lock.readLock().lock();
    try {
      if (closed) {
        throw new LongAlignException("the tokenizer of " + source + " is closed");
      }
      Encoding encoding = tokenizer.encode(TextRepair.replaceLoneSurrogates(text), true, false);
      long[] ids = encoding.getIds();
      int[] out = new int[ids.length];
      for (int i = 0; i < ids.length; i++) {
        out[i] = (int) ids[i];
      }
      return out;
    } finally {
      lock.readLock().unlock();
    }
  }

  @Override
  public List<int[]> encodeAll(List<String> texts) {
    return texts.stream().map(this::encode).collect(Collectors.toList());
  }

  @Override
  public String token(int id) {
    return facts.tokens.getOrDefault(id, "<unknown id " + id + ">");
  }

  @Override
  public int bosId() {
    return facts.bosId;
  }

  @Override
  public int eosId() {
    return facts.eosId;
  }

  @Override
  public int padId() {
    return facts.padId;
  }

  @Override
  public int modelMaxLength() {
    return facts.modelMaxLength;
  }

  @Override
  public void close() {
    lock.writeLock().lock();
    try {
      if (!closed) {
        closed = true;
        tokenizer.close();
      }
    } finally {
      lock.writeLock().unlock();
    }
  }
}
