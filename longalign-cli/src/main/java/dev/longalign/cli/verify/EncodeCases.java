package dev.longalign.cli.verify;

import dev.longalign.cli.verify.VerifyCase.Body;
import dev.longalign.io.ModelDirectory;
import dev.longalign.model.TextAdapter;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.PromptEncoder;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.tensor.Shape;
import dev.longalign.text.HiddenStates;
import dev.longalign.text.SegmentSplitter;
import dev.longalign.text.TextEncoder;
import dev.longalign.text.Tokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** {@code encode/}: from captions to the UNet's context. */
final class EncodeCases implements CaseSource {
  private static final String AREA = "encode";

  private final Bench bench;
  private final Vectors vectors;
  private final ModelFiles files;
  private TextAdapter adapter;
  private PromptEncoder prompts;

  EncodeCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
    this.files = files(bench, bench.model(vectors), List.of());
  }

  /** The files of a golden model. */
  static ModelFiles files(Bench bench, Path model, List<ModelFiles.LoraFile> loras) {
    return new ModelFiles(
        ModelDirectory.open(model),
        Optional.of(bench.adapter(model)),
        Optional.of(model.resolve("t5")),
        loras);
  }

  @Override
  public List<VerifyCase> cases() {
    Map<String, Body> known = new LinkedHashMap<>();
    known.put("segments", this::segments);
    known.put("segment_owner", this::owners);
    known.put("token_length", this::tokenLength);
    known.put("clip_pad_id", this::padId);
    known.put("kept_clip_tokens", this::keptTokens);
    known.put("input_ids_clip", this::clipIds);
    known.put("input_ids_t5", this::t5Ids);
    known.put("pad_embed", this::padEmbedding);
    known.put("t5_hidden", this::t5Hidden);
    known.put("final", this::context);
    List<VerifyCase> cases = new ArrayList<>();
    List<String> names = new ArrayList<>(vectors.values());
    names.addAll(vectors.names());
    names.remove("captions");
    for (String name : names) {
      Body body = name.startsWith("clip_hidden") ? c -> clipHidden(name, c) : known.get(name);
      String path = vectors.name() + "." + name;
      cases.add(
          body == null
              ? VerifyCase.skipped(AREA, path, "unknown case")
              : new VerifyCase(AREA, path, body));
    }
    return cases;
  }

  private List<String> captions() {
    return Values.texts(vectors.value("captions"));
  }

  private List<List<String>> split() {
    return captions().stream().map(SegmentSplitter.reference()::split).toList();
  }

  private List<String> allSegments() {
    return split().stream().flatMap(List::stream).toList();
  }

  private void segments(Comparison comparison) {
    List<String> expected = Values.texts(vectors.value("segments"));
    List<String> got = allSegments();
    comparison.same("number of segments", expected.size(), got.size());
    for (int i = 0; i < Math.min(expected.size(), got.size()); i++) {
      comparison.same("segments[" + i + "]", expected.get(i), got.get(i));
    }
  }

  private void owners(Comparison comparison) {
    List<Integer> got = new ArrayList<>();
    List<List<String>> split = split();
    for (int caption = 0; caption < split.size(); caption++) {
      for (int i = 0; i < split.get(caption).size(); i++) {
        got.add(caption);
      }
    }
    int[] owners = got.stream().mapToInt(Integer::intValue).toArray();
    comparison.same("segment_owner", Values.ints(vectors.value("segment_owner")), owners);
  }

  private void tokenLength(Comparison comparison) {
    comparison.same(
        "token_length", vectors.value("token_length").getAsInt(), PromptEncoder.TOKEN_LENGTH);
  }

  private void padId(Comparison comparison) {
    try (Tokenizer tokenizer = clipTokenizer()) {
      comparison.same("clip_pad_id", vectors.value("clip_pad_id").getAsInt(), tokenizer.padId());
    }
  }

  private void keptTokens(Comparison comparison) {
    int[] expected = Values.ints(vectors.value("kept_clip_tokens"));
    int[] got = new int[captions().size()];
    try (Tokenizer tokenizer = clipTokenizer()) {
      int window = tokenizer.modelMaxLength();
      for (int i = 0; i < got.length; i++) {
        List<int[]> ids = tokenizer.encodeAll(split().get(i));
        int[][] rows = Tokenizer.pad(ids, window, tokenizer.padId(), tokenizer.eosId());
        got[i] =
            (int)
                Arrays.stream(rows)
                    .flatMapToInt(Arrays::stream)
                    .filter(id -> id != tokenizer.padId() && id != tokenizer.eosId())
                    .count();
      }
    }
    comparison.same("kept_clip_tokens", expected, got);
  }

  private void clipIds(Comparison comparison) {
    try (Tokenizer tokenizer = clipTokenizer()) {
      ids(tokenizer, allSegments(), "input_ids_clip", comparison);
    }
  }

  private void t5Ids(Comparison comparison) {
    try (Tokenizer tokenizer = bench.encoders().t5Tokenizer(files.t5().orElseThrow())) {
      ids(tokenizer, captions(), "input_ids_t5", comparison);
    }
  }

  private void ids(Tokenizer tokenizer, List<String> texts, String name, Comparison comparison) {
    int[][] expected = Values.intRows(vectors.stored(name));
    int columns = vectors.shape(name).intDim(1);
    int[][] got =
        Tokenizer.pad(tokenizer.encodeAll(texts), columns, tokenizer.padId(), tokenizer.eosId());
    comparison.same(name, expected, got);
  }

  /** Everything after the one kept token of an empty caption is the pad embedding. */
  private void padEmbedding(Comparison comparison) {
    HiddenStates empty = prompts().encode("", TextEncoding.SEGMENTS, false).context();
    int width = empty.width();
    float[] last =
        Arrays.copyOfRange(empty.values(), (empty.length() - 1) * width, empty.length() * width);
    close("pad_embed", Shape.of(1, width), last, comparison);
  }

  private void clipHidden(String name, Comparison comparison) {
    int rows = vectors.shape(name).intDim(0);
    int[][] ids = Arrays.copyOf(Values.intRows(vectors.stored("input_ids_clip")), rows);
    Path directory = files.textFiles().textEncoder();
    try (TextEncoder encoder = bench.encoders().clipTextEncoder(directory, bench.threads())) {
      close(name, encoder.encode(ids), comparison);
    }
  }

  private void t5Hidden(Comparison comparison) {
    int[][] ids = Values.intRows(vectors.stored("input_ids_t5"));
    Path directory = files.textFiles().t5();
    try (TextEncoder encoder = bench.encoders().t5Encoder(directory, bench.threads())) {
      close("t5_hidden", encoder.encode(ids), comparison);
    }
  }

  private void context(Comparison comparison) {
    List<String> captions = captions();
    for (int i = 0; i < captions.size(); i++) {
      HiddenStates got = prompts().encode(captions.get(i), TextEncoding.LONGALIGN, false).context();
      comparison.close(
          "final[" + i + "]",
          vectors.rowShape("final"),
          vectors.row("final", i),
          Shape.of(got.length(), got.width()),
          got.values(),
          Comparison.F32,
          vectors.float64Difference("final"));
    }
    comparison.same("number of contexts", vectors.shape("final").intDim(0), captions.size());
  }

  private void close(String name, HiddenStates got, Comparison comparison) {
    close(name, Shape.of(got.sequences(), got.length(), got.width()), got.values(), comparison);
  }

  private void close(String name, Shape shape, float[] got, Comparison comparison) {
    comparison.close(
        name,
        vectors.shape(name),
        vectors.floats(name),
        shape,
        got,
        Comparison.F32,
        vectors.float64Difference(name));
  }

  private Tokenizer clipTokenizer() {
    return bench.encoders().clipTokenizer(files.textFiles().tokenizer());
  }

  private PromptEncoder prompts() {
    if (prompts == null) {
      adapter = files.loadAdapter(bench.backend());
      prompts =
          new PromptEncoder(
              bench.encoders(), files.textFiles(), adapter, bench.backend(), bench.threads());
    }
    return prompts;
  }

  @Override
  public void close() {
    if (prompts != null) {
      prompts.close();
      adapter.close();
    }
  }
}
