package dev.longalign.onnx.tokenizer;

import dev.longalign.LongAlignException;
import dev.longalign.text.Tokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/**
 * A tokenizer built as Hugging Face's fast ones: added tokens are cut out and the rest normalised,
 * a model gives the ids of what lies between, and a template's ids stand before and after.
 */
final class FastTokenizer implements Tokenizer {

  /** Cuts a normalised text into words and gives their ids, in order. */
  interface Model {
    void encode(Slice slice, IntConsumer ids);
  }

  /** The ids around every text. */
  record Template(int[] before, int[] after) {}

  /**
   * What is known beside.
   *
   * @param names of the model's ids, null where there is none
   * @param modelSize one more than the model's largest id
   */
  record Facts(
      IntFunction<String> names,
      int modelSize,
      int bosId,
      int eosId,
      int padId,
      int modelMaxLength) {}

  private final Path source;
  private final AddedVocabulary added;
  private final Model model;
  private final Template template;
  private final Facts facts;
  private volatile boolean closed;

  /**
   * @param source the file or directory it came from, for messages
   */
  FastTokenizer(Path source, AddedVocabulary added, Model model, Template template, Facts facts) {
    this.source = source;
    this.added = added;
    this.model = model;
    this.template = template;
    this.facts = facts;
  }

  @Override
  public int[] encode(String text) {
    if (closed) {
      throw new LongAlignException("the tokenizer of " + source + " is closed");
    }
    IntStream.Builder ids = IntStream.builder();
    for (int id : template.before) {
      ids.add(id);
    }
    added.split(
        TextRepair.replaceLoneSurrogates(text), ids::add, slice -> model.encode(slice, ids::add));
    for (int id : template.after) {
      ids.add(id);
    }
    return ids.build().toArray();
  }

  @Override
  public List<int[]> encodeAll(List<String> texts) {
    return texts.stream().map(this::encode).toList();
  }

  @Override
  public String token(int id) {
    SpecialToken token = added.tokens().get(id);
    String name = token != null ? token.content() : id < 0 ? null : facts.names.apply(id);
    return name == null ? "<unknown id " + id + ">" : name;
  }

  @Override
  public int size() {
    int largest =
        IntStream.concat(IntStream.of(template.before), IntStream.of(template.after))
            .max()
            .orElse(-1);
    return Math.max(Math.max(added.size(), facts.modelSize), largest + 1);
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
    closed = true;
  }
}
