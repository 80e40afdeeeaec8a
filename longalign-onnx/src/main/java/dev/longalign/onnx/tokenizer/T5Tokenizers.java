package dev.longalign.onnx.tokenizer;

import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import dev.longalign.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.UnaryOperator;

/**
 * Opens T5's tokenizer from {@code tokenizer.json} or, where that is missing, from {@code
 * spiece.model}.
 */
public final class T5Tokenizers {
  private static final String EOS = "</s>";
  private static final int MAX_EXTRA_IDS = 10_000;
  private static final char MARK = '\u2581';

  private T5Tokenizers() {}

  /** What differs between the two files. */
  private record Parts(
      Unigram model,
      List<SpecialToken> added,
      UnaryOperator<Slice> normalizer,
      TokenizerJson.Words words,
      FastTokenizer.Template template) {}

  /**
   * transformers' T5TokenizerFast.
   *
   * @throws LongAlignException if a file is missing, damaged, or describes another tokenizer
   */
  public static Tokenizer open(Path directory) {
    TokenizerFiles files = new TokenizerFiles(directory);
    if (files.has("tokenizer.json")) {
      return open(files, "tokenizer.json", ofTokenizerJson(files));
    }
    if (files.has("spiece.model")) {
      return open(files, "spiece.model", ofSentencePiece(files));
    }
    throw new LongAlignException(
        directory
            + ": expected tokenizer.json or spiece.model, found neither; download the tokenizer again");
  }

  private static Tokenizer open(TokenizerFiles files, String name, Parts parts) {
    AddedTokens beside = AddedTokens.read(files);
    List<SpecialToken> added = new ArrayList<>(parts.added);
    added.addAll(beside.byId().values());
    Set<String> known = new HashSet<>();
    added.forEach(token -> known.add(token.content()));
    SpecialToken eos = beside.role("eos_token", EOS);
    SpecialToken pad = beside.role("pad_token", "<pad>");
    List<SpecialToken> special =
        new ArrayList<>(List.of(eos, beside.role("unk_token", "<unk>"), pad));
    special.addAll(beside.additional());
    for (int i = extraIds(files) - 1; i >= 0; i--) {
      special.add(SpecialToken.of(extra(i), -1, true));
    }
    // The tokenizer's own tokens are added ones, too, even where no file lists them as such.
    special.removeIf(
        token -> parts.model.id(token.content()) == null || !known.add(token.content()));
    added.addAll(special);
    AddedVocabulary vocabulary =
        new AddedVocabulary(
            files.path(name), added, parts.model::id, parts.model.size(), parts.normalizer);
    return new FastTokenizer(
        files.path(name),
        vocabulary,
        (slice, ids) -> parts.words.cut(slice, word -> parts.model.encode(word.text(), ids)),
        parts.template,
        new FastTokenizer.Facts(
            id -> id < parts.model.size() ? parts.model.piece(id) : null,
            parts.model.size(),
            -1,
            id(files, name, vocabulary, eos),
            id(files, name, vocabulary, pad),
            files.modelMaxLength(512)));
  }

  private static int id(
      TokenizerFiles files, String name, AddedVocabulary vocabulary, SpecialToken token) {
    Integer id = vocabulary.id(token.content());
    if (id == null) {
      throw files.damaged(
          name, Names.printable(token.content()) + " in the vocabulary", "none", null);
    }
    return id;
  }

  private static Parts ofTokenizerJson(TokenizerFiles files) {
    JsonValue json = files.json("tokenizer.json");
    JsonValue model = json.get("model");
    model.get("type").expect("Unigram", null);
    model.get("byte_fallback").expect(false, null);
    List<Unigram.Piece> pieces =
        model.get("vocab").stream()
            .map(
                entry -> {
                  List<JsonValue> pair = entry.list();
                  if (pair.size() != 2) {
                    throw entry.refusal("a piece and its score");
                  }
                  return new Unigram.Piece(pair.get(0).token(), pair.get(1).number());
                })
            .toList();
    if (model.get("unk_id").id() >= pieces.size()) {
      throw model
          .get("unk_id")
          .refusal("one of the " + pieces.size() + " pieces of the vocabulary");
    }
    return new Parts(
        new Unigram(pieces, model.get("unk_id").id()),
        AddedTokens.ofTokenizerJson(json),
        TokenizerJson.normalizer(json.get("normalizer")),
        TokenizerJson.words(json.get("pre_tokenizer")),
        TokenizerJson.template(json.get("post_processor")));
  }

  /** What transformers makes of spiece.model. */
  private static Parts ofSentencePiece(TokenizerFiles files) {
    String name = "spiece.model";
    List<UnaryOperator<Slice>> normalizers = new ArrayList<>();
    SentencePieceModel model;
    try {
      model = SentencePieceModel.parse(files.bytes(name));
      if (model.charsMap().length > 0) {
        normalizers.add(new CharsMap(model.charsMap())::apply);
      }
    } catch (IOException e) {
      String found = "something else (" + Names.printable(String.valueOf(e.getMessage())) + ")";
      throw files.damaged(name, "a SentencePiece model", found, e);
    }
    if (!model.unigram() || model.pieces().isEmpty()) {
      throw files.damaged(
          name,
          "a SentencePiece model of type UNIGRAM",
          model.unigram() ? "no pieces" : "another type",
          null);
    }
    List<Unigram.Piece> pieces = new ArrayList<>();
    List<SpecialToken> added = new ArrayList<>();
    for (SentencePieceModel.Piece piece : model.pieces()) {
      if (piece.type() == SentencePieceModel.CONTROL
          || piece.type() == SentencePieceModel.USER_DEFINED) {
        boolean control = piece.type() == SentencePieceModel.CONTROL;
        added.add(
            new SpecialToken(piece.text(), pieces.size(), false, false, false, false, control));
      }
      pieces.add(new Unigram.Piece(piece.text(), piece.score()));
    }
    for (int i = extraIds(files) - 1; i >= 0; i--) {
      pieces.add(new Unigram.Piece(extra(i), 0));
    }
    if (model.unknownId() < 0 || model.unknownId() >= model.pieces().size()) {
      throw files.damaged(
          name, "an unknown piece among " + pieces.size(), "number " + model.unknownId(), null);
    }
    Unigram unigram = new Unigram(pieces, model.unknownId());
    if (unigram.id(EOS) == null) {
      throw files.damaged(name, EOS + " in the vocabulary", "none", null);
    }
    normalizers.add(TokenizerJson.strip(false, true));
    normalizers.add(TokenizerJson.replace(" ", 2, String.valueOf(MARK)));
    return new Parts(
        unigram,
        added,
        TokenizerJson.sequence(normalizers),
        TokenizerJson.metaspace(MARK, true, false, true),
        new FastTokenizer.Template(new int[0], new int[] {unigram.id(EOS)}));
  }

  private static String extra(int number) {
    return "<extra_id_" + number + ">";
  }

  private static int extraIds(TokenizerFiles files) {
    JsonValue extra = files.json("tokenizer_config.json").get("extra_ids");
    if (extra.exists() && extra.id() > MAX_EXTRA_IDS) {
      throw extra.refusal("at most " + MAX_EXTRA_IDS);
    }
    return extra.exists() ? extra.id() : 100;
  }
}
