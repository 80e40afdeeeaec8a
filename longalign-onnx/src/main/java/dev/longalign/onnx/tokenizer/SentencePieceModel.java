package dev.longalign.onnx.tokenizer;

import com.google.protobuf.CodedInputStream;
import com.google.protobuf.WireFormat;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * The parts of a SentencePiece model file (sentencepiece_model.proto) that a unigram tokenizer
 * needs.
 *
 * @param unigram whether trainer_spec.model_type is UNIGRAM
 * @param charsMap normalizer_spec.precompiled_charsmap, possibly empty
 */
record SentencePieceModel(List<Piece> pieces, boolean unigram, int unknownId, byte[] charsMap) {
  private static final int UNIGRAM = 1;

  /** Piece types of the format. */
  static final int NORMAL = 1;

  static final int UNKNOWN = 2;
  static final int CONTROL = 3;
  static final int USER_DEFINED = 4;

  record Piece(String text, float score, int type) {}

  static SentencePieceModel parse(byte[] file) throws IOException {
    List<Piece> pieces = new ArrayList<>();
    int[] trainer = {UNIGRAM, 0}; // model_type, unk_id
    byte[][] charsMap = {new byte[0]};
    CodedInputStream in = CodedInputStream.newInstance(file);
    for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
      switch (WireFormat.getTagFieldNumber(tag)) {
        case 1 -> {
          pieces.add(piece(in.readBytes().newCodedInput()));
          if (pieces.size() > TokenizerFiles.MAX_TOKENS) {
            throw new IOException("more than " + TokenizerFiles.MAX_TOKENS + " pieces");
          }
        }
        case 2 -> trainer(in.readBytes().newCodedInput(), trainer);
        case 3 -> charsMap[0] = normalizer(in.readBytes().newCodedInput());
        default -> in.skipField(tag);
      }
    }
    return new SentencePieceModel(
        List.copyOf(pieces), trainer[0] == UNIGRAM, trainer[1], charsMap[0]);
  }

  private static Piece piece(CodedInputStream in) throws IOException {
    String text = "";
    float score = 0;
    int type = NORMAL;
    for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
      switch (WireFormat.getTagFieldNumber(tag)) {
        case 1 -> text = in.readStringRequireUtf8();
        case 2 -> score = in.readFloat();
        case 3 -> type = in.readEnum();
        default -> in.skipField(tag);
      }
    }
    if (!Float.isFinite(score) || text.length() > TokenizerFiles.MAX_TOKEN_LENGTH) {
      throw new IOException("a piece of " + text.length() + " characters with the score " + score);
    }
    return new Piece(text, score, type);
  }

  private static void trainer(CodedInputStream in, int[] trainer) throws IOException {
    for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
      switch (WireFormat.getTagFieldNumber(tag)) {
        case 3 -> trainer[0] = in.readEnum();
        case 40 -> trainer[1] = in.readInt32();
        default -> in.skipField(tag);
      }
    }
  }

  private static byte[] normalizer(CodedInputStream in) throws IOException {
    byte[] charsMap = new byte[0];
    for (int tag = in.readTag(); tag != 0; tag = in.readTag()) {
      if (WireFormat.getTagFieldNumber(tag) == 2) {
        charsMap = in.readByteArray();
      } else {
        in.skipField(tag);
      }
    }
    return charsMap;
  }
}
