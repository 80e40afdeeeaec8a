package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TorchFileTest {
  private static final Path IO = IoFixtures.GOLDEN.resolve("io");

  @TempDir Path directory;

  /** Pushes _rebuild_tensor_v2 of storage 0 (six floats); size and stride are pickles of tuples. */
  private static String tensor(int elements, String size, String stride) {
    return "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
        + "0X\3\0\0\0cpuK"
        + (char) elements
        + "tQK\0"
        + size
        + stride
        + "\u0089ccollections\nOrderedDict\n)RtR";
  }

  private TorchFile open(String pickle) {
    Path path =
        IoFixtures.write(
            directory.resolve("x.pt"), IoFixtures.torchZip(pickle, Map.of("0", new byte[24])));
    return TorchFile.open(path);
  }

  private void refuses(String pickle, String words) {
    assertThatThrownBy(() -> open(pickle))
        .isExactlyInstanceOf(LongAlignException.class)
        .hasMessageContaining(words);
  }

  @Test
  void namesNestedTensorsByTheirPath() {
    String inner =
        "}(X\1\0\0\0w"
            + tensor(6, "K\2K\3\u0086", "K\3K\1\u0086")
            + "K\5]("
            + tensor(6, "K\6\u0085", "K\1\u0085")
            + "eu";
    try (TorchFile file = open("\u0080\2}(X\5\0\0\0model" + inner + "X\4\0\0\0stepK\7u.")) {
      assertThat(file.names()).containsExactly("model.w", "model.5.0");
      assertThat(file.tensor("model.w").shape()).isEqualTo(Shape.of(2, 3));
      assertThat(file.metadata()).isEqualTo(Map.of("step", "7"));
      assertThat(file.isList()).isFalse();
      assertThatThrownBy(file::list).hasMessageContaining("a dict with the keys [model, step]");
      assertThatThrownBy(() -> file.tensor("model.v")).hasMessageContaining("closest: 'model.w'");
    }
  }

  @Test
  void takesTheNameOfATrainersClassForAText() {
    String name = "cpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n";
    try (TorchFile file =
        open(
            "\u0080\2}(X\1\0\0\0w"
                + tensor(6, "K\6\u0085", "K\1\u0085")
                + "X\11\0\0\0callbacks}"
                + name
                + "K\3su.")) {
      assertThat(file.names()).containsExactly("w");
      assertThat(file.metadata())
          .containsEntry(
              "callbacks.pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", "3");
    }
    refuses("\u0080\2" + name + ")R.", "ModelCheckpoint, expected tensors");
  }

  @Test
  void readsAListThatPythonTwoPickled() {
    String pairs =
        "ccollections\nOrderedDict\n(](](U\1a" + tensor(6, "K\6\u0085", "K\1\u0085") + "eetR.";
    try (TorchFile file = open("\u0080\2" + pairs)) {
      assertThat(file.names()).containsExactly("a");
    }
  }

  /** {@code src/test/oracle/side_data.py} makes the files. */
  @ParameterizedTest
  @ValueSource(strings = {"side_data.pt", "side_data_legacy.pt", "side_data_protocol4.pt"})
  void whatATrainerKeepsBesideTheTensorsIsLeftOut(String name) {
    Path resources = Path.of("src/test/resources/dev/longalign/io");
    try (TorchFile file = TorchFile.open(resources.resolve(name))) {
      assertThat(file.names())
          .containsExactly(
              "state_dict.weight", "state_dict.named", "state_dict.turned", "rng.2", "complex");
      assertThat(file.tensor("state_dict.weight").toFloats()).containsExactly(0, 1, 2, 3, 4, 5);
      assertThat(file.tensor("state_dict.turned").toFloats()).containsExactly(0, 3, 1, 4, 2, 5);
      assertThat(file.tensor("state_dict.named").toFloats()).containsExactly(1, 1);
      assertThat(file.unsupported()).isEqualTo(Map.of("complex", "torch.ComplexFloatStorage"));
      assertThatThrownBy(() -> file.tensor("complex"))
          .isExactlyInstanceOf(LongAlignException.class)
          .hasMessageContaining("'complex'")
          .hasMessageContaining("found torch.ComplexFloatStorage");
      assertThat(file.tensors()).hasSize(4);
      Map<?, ?> value = (Map<?, ?>) file.value();
      assertThat(value.get("size")).isEqualTo(List.of(2L, 3L));
      assertThat(value.get("counts")).isEqualTo(Map.of("a", 2L, "b", 1L));
      assertThat(value.get("default")).isEqualTo(Map.of("a", 1L));
      assertThat(value.get("seen")).isEqualTo(List.of(3L, 4L));
      assertThat(value.get("steps")).isEqualTo(Map.of("(0, a)", 1L, "(1, b)", 2L));
      assertThat(value.get("layout")).isEqualTo("torch.strided");
      assertThat(value.get("device")).isEqualTo("cpu");
      assertThat(value.get("dtype")).isEqualTo("torch.float8_e4m3fn");
      assertThat(value.get("when")).isEqualTo("datetime.datetime");
      assertThat(value.get("config")).isEqualTo("omegaconf.dictconfig.DictConfig");
      assertThat(value.get("args")).isEqualTo("argparse.Namespace");
    }
  }

  @Test
  void largeBytesAreSharedHoweverOftenTheyAreNamed() {
    int size = 8 << 20;
    String length =
        "" + (char) (size & 255) + (char) (size >> 8 & 255) + (char) (size >> 16) + "\0";
    String pickle = "\u0080\2](B" + length + "x".repeat(size) + "q\0" + "h\0".repeat(20_000) + "e.";
    try (TorchFile file = open(pickle)) { // 160 GB if each had a copy
      assertThat((List<?>) file.value()).hasSize(20_001);
    }
  }

  @Test
  void readsTheLoraFiles() {
    Path models = IoFixtures.GOLDEN.resolve("models/tiny-longsd");
    for (String name : List.of("s28750_lora_vis.pt", "sd15-reward-3750.pt", "lora_train_init.pt")) {
      try (TorchFile file = TorchFile.open(models.resolve(name))) {
        List<StoredTensor> lora = file.list();
        assertThat(lora).isNotEmpty();
        assertThat(lora.size() % 2).isZero();
        for (int i = 0; i < lora.size(); i += 2) { // up [out, r, ...], down [r, in, ...]
          assertThat(lora.get(i).shape().dim(1))
              .as("pair %d of %s", i, name)
              .isEqualTo(lora.get(i + 1).shape().dim(0));
        }
      }
    }
  }

  @Test
  void aPickleMayContainItselfOrStandForAHugeTree() {
    refuses("\u0080\2]q\0h\0a.", "nest deeper");
    refuses("\u0080\2}q\0X\1\0\0\0ah\0s.", "nest deeper");
    StringBuilder doubling = new StringBuilder("\u0080\2](K\1e");
    for (int level = 0; level < 40; level++) { // 2^40 leaves
      String recall = "h" + (char) level;
      doubling
          .append('q')
          .append((char) level)
          .append("0](")
          .append(recall)
          .append(recall)
          .append('e');
    }
    refuses(doubling + ".", "or are more than");
    refuses("\u0080\2" + "]".repeat(100) + "a".repeat(99) + ".", "nest deeper");
    refuses("\u0080\2" + "N".repeat(3_000_000) + ".", "steps");
  }

  @Test
  void longNamesCannotFillTheMemory() {
    String key = "k".repeat(60_000);
    String length = "" + (char) (60_000 & 255) + (char) (60_000 >> 8) + "\0\0";
    refuses(
        "\u0080\2}X" + length + key + "](" + "K\1".repeat(100_000) + "es.", "names of its values");
  }

  @Test
  void viewsMayRepeatButNotExplode() {
    try (TorchFile file =
        open("\u0080\2](" + tensor(6, "J\0\0\1\0K\6\u0086", "K\0K\1\u0086") + "e.")) {
      assertThat(file.list().get(0).toFloats()).hasSize(65_536 * 6);
    }
    refuses("\u0080\2" + tensor(6, "J\0\0\0\177K\6\u0086", "K\0K\0\u0086") + ".", "too often");
  }

  @Test
  void refusesByName() {
    refuses("\u0080\2ctorch\nload\n.", "torch.load");
    refuses("\u0080\2cnumpy.core.multiarray\nscalar\n.", "numpy.core.multiarray.scalar");
    refuses("\u0080\2c__builtin__\ndict\n)R.", "__builtin__.dict");
    refuses("\u0080\2)\u0081.", "NEWOBJ");
    refuses("\u0080\2\u008f.", "a set");
    refuses("\u0080\6.", "protocol 6");
    refuses("\u0080\2N}s.", "an operand");
    refuses("\u0080\2}(]K\1u.", "neither text nor number");
    refuses("\u0080\2K\1)R.", "no function");
    refuses("\u0080\2]}b.", "BUILD");
    refuses("\u0080\2\u008a\u00ff" + "\1".repeat(255) + ".", "integer of 255 bytes");
    refuses("\u0080\2I" + "9".repeat(1000) + "\n.", "no integer");
    refuses(
        "\u0080\2" + tensor(7, "K\7\u0085", "K\1\u0085") + ".",
        "should have 28 bytes, its record has 24");
  }

  @Test
  void archivesOfOtherKindsAreNamed() {
    byte[] pickle = {(byte) 0x80, 2, 'N', '.'};
    byte[] script = IoFixtures.zip(Map.of("m/data.pkl", pickle, "m/constants.pkl", pickle));
    assertThatThrownBy(
            () -> TorchFile.open(IoFixtures.write(directory.resolve("script.pt"), script)))
        .hasMessageContaining("TorchScript");
    byte[] big =
        IoFixtures.zip(
            Map.of("m/data.pkl", pickle, "m/byteorder", "big".getBytes(StandardCharsets.US_ASCII)));
    assertThatThrownBy(() -> TorchFile.open(IoFixtures.write(directory.resolve("big.pt"), big)))
        .hasMessageContaining("byte order 'big'");
    byte[] two = IoFixtures.zip(Map.of("m/data.pkl", pickle, "n/data.pkl", pickle));
    assertThatThrownBy(() -> TorchFile.open(IoFixtures.write(directory.resolve("two.pt"), two)))
        .hasMessageContaining("found 2");
    byte[] bomb = IoFixtures.zip(Map.of("m/data.pkl", new byte[80 << 20]));
    assertThatThrownBy(() -> TorchFile.open(IoFixtures.write(directory.resolve("bomb.pt"), bomb)))
        .hasMessageContaining("at most");
    assertThatThrownBy(() -> TorchFile.open(IoFixtures.write(directory.resolve("raw.pt"), pickle)))
        .hasMessageContaining("not one of torch.save");
  }

  @Test
  void whatTheWriterWritesComesBack() {
    Random random = new Random(7);
    List<StoredTensor> tensors = new ArrayList<>();
    for (DType dtype :
        List.of(
            DType.F64,
            DType.F32,
            DType.F16,
            DType.BF16,
            DType.I64,
            DType.I32,
            DType.I16,
            DType.I8,
            DType.U8,
            DType.BOOL)) {
      for (long[] dims : new long[][] {{}, {0, 2}, {5}, {3, 2, 1, 1}, {300, 300}}) {
        Shape shape = Shape.of(dims);
        byte[] bytes = new byte[(int) shape.size() * dtype.bytes()];
        random.nextBytes(bytes);
        tensors.add(
            StoredTensor.of(dtype + "." + shape + ".é", dtype, shape, ByteBuffer.wrap(bytes)));
      }
    }
    Path list = directory.resolve("list.pt");
    Path dict = directory.resolve("dict.pt");
    TorchWriter.writeList(list, tensors);
    TorchWriter.writeDict(dict, tensors);
    try (TorchFile asList = TorchFile.open(list);
        TorchFile asDict = TorchFile.open(dict)) {
      assertThat(asList.list()).hasSize(tensors.size());
      assertThat(asDict.names())
          .containsExactlyElementsOf(tensors.stream().map(StoredTensor::name).toList());
      for (int i = 0; i < tensors.size(); i++) {
        StoredTensor tensor = tensors.get(i);
        assertThat(asList.list().get(i).dtype()).isEqualTo(tensor.dtype());
        assertThat(asList.list().get(i).expect(tensor.shape()).data()).isEqualTo(tensor.data());
        assertThat(asDict.tensor(tensor.name(), tensor.shape()).data()).isEqualTo(tensor.data());
        assertThat(asList.list().get(i).region().orElseThrow().offset() % 64).isZero();
      }
    }
    Path again = directory.resolve("again.pt");
    TorchWriter.writeList(again, tensors);
    assertThat(IoFixtures.read(again)).isEqualTo(IoFixtures.read(list));
    StoredTensor unsigned = StoredTensor.of("u", DType.U32, Shape.of(1), ByteBuffer.allocate(4));
    assertThatThrownBy(() -> TorchWriter.writeList(again, List.of(unsigned)))
        .hasMessageContaining("use safetensors");
    assertThatThrownBy(() -> TorchWriter.writeDict(again, List.of(unsigned, unsigned)))
        .hasMessageContaining("twice");
  }
}
