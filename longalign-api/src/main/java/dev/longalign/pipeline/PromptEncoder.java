package dev.longalign.pipeline;

import dev.longalign.LongAlignException;
import dev.longalign.io.FileStamp;
import dev.longalign.model.TextAdapter;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.text.EncoderProvider;
import dev.longalign.text.EncodingReport;
import dev.longalign.text.HiddenStates;
import dev.longalign.text.ReportBuilder;
import dev.longalign.text.SegmentSplitter;
import dev.longalign.text.TextEncoder;
import dev.longalign.text.TextReader;
import dev.longalign.text.Tokenizer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * From a prompt to the UNet's context (LongAlign section 3.1; {@code caption2embed} in the
 * published code): CLIP reads every segment by itself, T5 reads the whole, an adapter brings T5's
 * states into CLIP's width.
 *
 * <p>Tokenizers and encoders are opened at the first prompt that needs them and stay until {@link
 * #release()}; the contexts of recent prompts are remembered. Thread-safe.
 */
public final class PromptEncoder implements AutoCloseable {
  /** Positions of CLIP's and of T5's half of the context. */
  public static final int TOKEN_LENGTH = 240;

  private static final int PAD_POSITIONS = 60;
  private static final int REMEMBERED = 64;

  /**
   * Where the text side of a model lies.
   *
   * @param tokenizer CLIP's tokenizer
   * @param textEncoder CLIP's text tower
   * @param t5 T5's tokenizer and encoder; null without an adapter
   */
  public record Files(Path tokenizer, Path textEncoder, Path t5) {}

  /**
   * A context and how it came about.
   *
   * @param context [1, S, D]
   */
  public record Encoding(HiddenStates context, EncodingReport report) {
    /** [1, S, D] f32. */
    public Tensor upload(Backend backend) {
      return Tensor.of(backend, Shape.of(1, context.length(), context.width()), context.values());
    }
  }

  private record Key(String prompt, TextEncoding encoding, boolean reference) {}

  private final EncoderProvider provider;
  private final Files files;
  private final TextAdapter adapter;
  private final Backend backend;
  private final int threads;
  private final List<FileStamp> stamps;
  private final Map<Key, Encoding> recent =
      new LinkedHashMap<>(16, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Key, Encoding> eldest) {
          return size() > REMEMBERED;
        }
      };

  private Clip clip;
  private float[] padEmbedding;
  private TextReader t5;

  private record Clip(Tokenizer tokenizer, TextEncoder encoder, int window) {
    static Clip open(EncoderProvider provider, Files files, int threads) {
      TextReader reader =
          TextReader.clip(provider, files.tokenizer(), files.textEncoder(), threads);
      return new Clip(reader.tokenizer(), reader.encoder(), reader.encoder().maxLength());
    }

    void close() {
      tokenizer.close();
      encoder.close();
    }
  }

  /**
   * @param adapter computes in f32; null if the model has none: then the context is CLIP's half
   * @param threads for the encoders, 0 for one per core
   */
  public PromptEncoder(
      EncoderProvider provider, Files files, TextAdapter adapter, Backend backend, int threads) {
    if (adapter != null && files.t5() == null) {
      throw new LongAlignException(
          "a text adapter needs a T5 encoder: expected its directory, found none");
    }
    this.provider = provider;
    this.files = files;
    this.adapter = adapter;
    this.backend = backend;
    this.threads = threads;
    this.stamps =
        FileStamp.ofFolders(
            Stream.of(files.tokenizer(), files.textEncoder(), files.t5())
                .filter(Objects::nonNull)
                .toList());
  }

  /** Encodes one prompt; recent ones are remembered. */
  public synchronized Encoding encode(String prompt, TextEncoding encoding, boolean sentences) {
    return recent.computeIfAbsent(
        new Key(prompt, encoding, !sentences), key -> compute(prompt, encoding, sentences));
  }

  private Encoding compute(String prompt, TextEncoding encoding, boolean sentences) {
    if (clip == null) {
      checkUnchanged();
      clip = Clip.open(provider, files, threads);
      checkUnchanged();
    }
    List<String> segments = segments(prompt, encoding, sentences);
    List<int[]> clipIds = clip.tokenizer.encodeAll(segments);
    boolean withT5 = adapter != null && encoding == TextEncoding.LONGALIGN;
    if (withT5 && t5 == null) {
      t5 = TextReader.t5(provider, files.t5(), threads);
      checkUnchanged();
    }
    int[] t5Ids = withT5 ? t5.tokenizer().encode(prompt) : null;
    EncodingReport report = report(prompt, segments, clipIds, t5Ids, encoding);
    try (TensorScope scope = TensorScope.open()) {
      Tensor context =
          encoding == TextEncoding.TRUNCATED
              ? upload(clipStates(clipIds, clip.window))
              : concatenated(clipIds);
      if (withT5) {
        context = Tensor.concat(1, context, adapted(t5Ids));
      }
      return new Encoding(
          new HiddenStates(context.toFloats(), 1, context.dim(1), context.dim(2)), report);
    }
  }

  /**
   * Encoders that are opened late, or again, are those that this was made for, before and after.
   */
  private void checkUnchanged() {
    try {
      stamps.forEach(FileStamp::check);
    } catch (LongAlignException e) {
      release();
      throw e;
    }
  }

  private List<String> segments(String prompt, TextEncoding encoding, boolean sentences) {
    if (encoding == TextEncoding.TRUNCATED) {
      return List.of(prompt);
    }
    SegmentSplitter splitter =
        sentences
            ? SegmentSplitter.sentences(text -> clip.tokenizer.encode(text).length, clip.window)
            : SegmentSplitter.reference();
    return splitter.split(prompt);
  }

  private EncodingReport report(
      String prompt,
      List<String> segments,
      List<int[]> clipIds,
      int[] t5Ids,
      TextEncoding encoding) {
    int tokenLength = encoding == TextEncoding.TRUNCATED ? clip.window : TOKEN_LENGTH;
    ReportBuilder report =
        EncodingReport.builder(prompt)
            .clip(clip.tokenizer, clip.window, tokenLength)
            .segments(segments, clipIds);
    return (t5Ids == null ? report : report.t5(t5.tokenizer(), t5Ids, TOKEN_LENGTH)).build();
  }

  /** [1, 240, D] of one caption's segments. */
  private Tensor concatenated(List<int[]> all) {
    List<int[]> ids = reaching(all);
    int longest = ids.stream().mapToInt(row -> row.length).max().orElse(0);
    int length = Math.min(longest, clip.window);
    Tokenizer tokenizer = clip.tokenizer;
    int[][] rows = Tokenizer.pad(ids, length, tokenizer.padId(), tokenizer.eosId());
    Tensor hidden = upload(clip.encoder.encode(rows));
    return hidden.segmentConcat(
        rows,
        new int[] {rows.length},
        tokenizer.eosId(),
        tokenizer.padId(),
        padEmbedding(),
        TOKEN_LENGTH);
  }

  /**
   * The first segments, up to the one that fills the concatenation: the rest would be cut unread.
   */
  private List<int[]> reaching(List<int[]> ids) {
    int kept = 0;
    for (int i = 0; i < ids.size(); i++) {
      int eos = clip.tokenizer.eosId();
      int pad = clip.tokenizer.padId();
      kept +=
          (int)
              Arrays.stream(ids.get(i))
                  .limit(clip.window - 1L)
                  .filter(id -> id != eos && id != pad)
                  .count();
      if (kept >= TOKEN_LENGTH) {
        return ids.subList(0, i + 1);
      }
    }
    return ids;
  }

  private Tensor padEmbedding() {
    if (padEmbedding == null) {
      padEmbedding = meanOfEmptyPrompt();
    }
    return Tensor.of(backend, Shape.of(padEmbedding.length), padEmbedding);
  }

  /** The mean of the last 60 positions of the encoded empty prompt: [D]. */
  private float[] meanOfEmptyPrompt() {
    HiddenStates empty = clipStates(List.of(clip.tokenizer.encode("")), clip.window);
    int positions = Math.min(PAD_POSITIONS, empty.length());
    double[] sum = new double[empty.width()];
    for (int i = empty.length() - positions; i < empty.length(); i++) {
      for (int d = 0; d < sum.length; d++) {
        sum[d] += empty.values()[i * sum.length + d];
      }
    }
    float[] mean = new float[sum.length];
    for (int d = 0; d < mean.length; d++) {
      mean[d] = (float) (sum[d] / positions);
    }
    return mean;
  }

  private HiddenStates clipStates(List<int[]> ids, int length) {
    Tokenizer tokenizer = clip.tokenizer;
    return clip.encoder.encode(Tokenizer.pad(ids, length, tokenizer.padId(), tokenizer.eosId()));
  }

  /** [1, 240, D]: T5 reads the padding too, as in training. */
  private Tensor adapted(int[] ids) {
    int[][] rows =
        Tokenizer.pad(List.of(ids), TOKEN_LENGTH, t5.tokenizer().padId(), t5.tokenizer().eosId());
    return adapter.forward(upload(t5.encoder().encode(rows))).cast(DType.F32);
  }

  private Tensor upload(HiddenStates states) {
    return Tensor.of(
        backend, Shape.of(states.sequences(), states.length(), states.width()), states.values());
  }

  /** Closes tokenizers and encoders; the next prompt opens them again. */
  public synchronized void release() {
    if (clip != null) {
      clip.close();
      clip = null;
      padEmbedding = null;
    }
    if (t5 != null) {
      t5.close();
      t5 = null;
    }
  }

  /** Releases everything and forgets the remembered contexts. The adapter is the caller's. */
  @Override
  public synchronized void close() {
    release();
    recent.clear();
  }
}
