package dev.longalign.onnx.tokenizer;

import dev.longalign.io.Names;
import dev.longalign.text.Tokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Opens CLIP's tokenizer from a Hugging Face directory ({@code vocab.json} + {@code merges.txt}, or
 * {@code tokenizer.json}). There are two, which differ on unusual text only:
 *
 * <pre>{@code
 * try (Tokenizer sd = ClipTokenizers.open(Path.of("stable-diffusion-v1-5/tokenizer"))) {
 *   int[] ids = sd.encode("a lighthouse"); // 49406 ... 49407
 * }
 * }</pre>
 */
public final class ClipTokenizers {
  private static final String WORDS =
      "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";
  private static final String MARKS = "<\\|startoftext\\|>|<\\|endoftext\\|>|";

  private ClipTokenizers() {}

  /** Stable Diffusion's: {@link #openSlow}. */
  public static Tokenizer open(Path directory) {
    return openSlow(directory);
  }

  /**
   * transformers' CLIPTokenizer behind ftfy's repairs.
   *
   * @throws dev.longalign.LongAlignException if a file is missing or damaged
   */
  public static Tokenizer openSlow(Path directory) {
    return new SlowClipTokenizer(ClipVocabulary.read(new TokenizerFiles(directory)));
  }

  /**
   * transformers' CLIPTokenizerFast, as preference models use it (CLIPProcessor): no repairs but
   * NFC, white space and lower case.
   *
   * @throws dev.longalign.LongAlignException if a file is missing or damaged, or tokenizer.json
   *     describes another tokenizer
   */
  public static Tokenizer openFast(Path directory) {
    TokenizerFiles files = new TokenizerFiles(directory);
    ClipVocabulary vocabulary = ClipVocabulary.read(files);
    JsonValue json = files.json("tokenizer.json");
    List<SpecialToken> added = new ArrayList<>();
    ClipWords words = ClipWords.FAST;
    int unknown = vocabulary.unknown().id();
    FastTokenizer.Template template =
        new FastTokenizer.Template(
            new int[] {vocabulary.bos().id()}, new int[] {vocabulary.eos().id()});
    if (files.has("tokenizer.json")) {
      checkNormalizer(json.get("normalizer"));
      words = words(json.get("pre_tokenizer"));
      unknown = checkModel(json.get("model"), vocabulary.tokens());
      template = TokenizerJson.template(json.get("post_processor"));
      added.addAll(AddedTokens.ofTokenizerJson(json));
    }
    checkMerges(files, vocabulary);
    added.addAll(vocabulary.special().values());
    Map<String, Integer> tokens = vocabulary.tokens();
    AddedVocabulary all =
        new AddedVocabulary(
            directory, added, tokens::get, tokens.size(), ClipTokenizers::normalize);
    BytePairEncoding encoding = new BytePairEncoding(tokens, vocabulary.merges(), unknown, false);
    Map<Integer, String> names = vocabulary.names();
    ClipWords pattern = words;
    return new FastTokenizer(
        directory,
        all,
        (slice, ids) ->
            pattern.forEach(
                slice.text(),
                word -> {
                  for (int id : encoding.encode(word)) {
                    ids.accept(id);
                  }
                }),
        template,
        new FastTokenizer.Facts(
            names::get,
            vocabulary.size(),
            all.id(vocabulary.bos().content()),
            all.id(vocabulary.eos().content()),
            all.id(vocabulary.pad().content()),
            vocabulary.modelMaxLength()));
  }

  private static Slice normalize(Slice slice) {
    String text = PythonText.blanks(Nfc.ofUnicode10(slice.text()));
    return new Slice(PythonText.lowerLetters(text), slice.leading());
  }

  private static void checkNormalizer(JsonValue json) {
    json.get("type").expect("Sequence");
    List<JsonValue> steps = json.get("normalizers").list();
    if (steps.size() != 3) {
      throw json.refusal("NFC, Replace and Lowercase");
    }
    steps.get(0).get("type").expect("NFC");
    steps.get(1).get("type").expect("Replace");
    steps.get(1).get("pattern").get("Regex").expect("\\s+");
    steps.get(1).get("content").expect(" ");
    steps.get(2).get("type").expect("Lowercase");
  }

  private static ClipWords words(JsonValue json) {
    json.get("type").expect("Sequence");
    List<JsonValue> steps = json.get("pretokenizers").list();
    if (steps.size() != 2) {
      throw json.refusal("Split and ByteLevel");
    }
    JsonValue split = steps.get(0);
    split.get("type").expect("Split");
    split.get("pattern").get("Regex").expect(WORDS, MARKS + WORDS);
    split.get("behavior").expect("Removed");
    split.get("invert").expect(true);
    JsonValue bytes = steps.get(1);
    bytes.get("type").expect("ByteLevel");
    bytes.get("add_prefix_space").expect(false);
    bytes.get("use_regex").expect(true, null);
    return split.get("pattern").get("Regex").is(WORDS) ? ClipWords.FAST : ClipWords.FAST_WITH_MARKS;
  }

  /** The id of what the vocabulary lacks. */
  private static int checkModel(JsonValue json, Map<String, Integer> tokens) {
    json.get("type").expect("BPE", null);
    json.get("dropout").expect((Object) null);
    json.get("continuing_subword_prefix").expect("", null);
    json.get("end_of_word_suffix").expect(BytePairEncoding.END_OF_WORD);
    for (String key : List.of("fuse_unk", "byte_fallback", "ignore_merges")) {
      json.get(key).expect(false, null);
    }
    Integer unknown = tokens.get(json.get("unk_token").text());
    if (unknown == null) {
      throw json.get("unk_token").refusal("a token of the vocabulary");
    }
    return unknown;
  }

  private static void checkMerges(TokenizerFiles files, ClipVocabulary vocabulary) {
    for (String[] pair : vocabulary.merges()) {
      for (String symbol : List.of(pair[0], pair[1], pair[0] + pair[1])) {
        if (!vocabulary.tokens().containsKey(symbol)) {
          throw files.damaged(
              files.has("merges.txt") ? "merges.txt" : "tokenizer.json",
              "merges of symbols that are in the vocabulary",
              Names.printable(symbol),
              null);
        }
      }
    }
  }
}
