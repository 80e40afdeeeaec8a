package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsTest {
  @TempDir Path directory;
  private int files;

  private static List<StoredTensor> oneOfEachType(Random random) {
    List<StoredTensor> tensors = new ArrayList<>();
    for (DType dtype : DType.values()) {
      for (long[] dims : new long[][] {{}, {0, 4}, {7}, {3, 5}, {2, 1, 3}}) {
        Shape shape = Shape.of(dims);
        byte[] bytes = new byte[(int) shape.size() * dtype.bytes()];
        random.nextBytes(bytes);
        tensors.add(
            StoredTensor.of(dtype + "." + shape + ".ü中", dtype, shape, ByteBuffer.wrap(bytes)));
      }
    }
    Collections.shuffle(tensors, random);
    return tensors;
  }

  @Test
  void keepsEveryByteOfEveryType() {
    List<StoredTensor> tensors = oneOfEachType(new Random(1));
    Path path = directory.resolve("all.safetensors");
    SafetensorsWriter.write(path, tensors, Map.of("format", "pt", "note", "café \"中\"\n"));
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      assertThat(file.names()).hasSize(tensors.size());
      assertThat(file.metadata()).isEqualTo(Map.of("format", "pt", "note", "café \"中\"\n"));
      for (StoredTensor tensor : tensors) {
        StoredTensor read = file.tensor(tensor.name(), tensor.shape());
        assertThat(read.dtype()).isEqualTo(tensor.dtype());
        assertThat(read.data()).isEqualTo(tensor.data());
        assertThat(file.region(tensor.name()).offset() % tensor.dtype().bytes()).isZero();
      }
    }
  }

  @Test
  void regionsAreAbsoluteOffsets() {
    Path path = directory.resolve("a.safetensors");
    SafetensorsWriter.write(path, oneOfEachType(new Random(2)));
    byte[] all = IoFixtures.read(path);
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      for (StoredTensor tensor : file.tensors()) {
        FileRegion region = file.region(tensor.name());
        assertThat(region.file()).isEqualTo(path);
        assertThat(ByteBuffer.wrap(all, (int) region.offset(), (int) region.length()))
            .isEqualTo(tensor.data());
      }
    }
  }

  @Test
  void aFileThatChangesIsNotReadOn() throws IOException {
    Path path = directory.resolve("a.safetensors");
    List<StoredTensor> tensors = oneOfEachType(new Random(3));
    SafetensorsWriter.write(path, tensors);
    String name = tensors.get(0).name();
    SafetensorsFile replaced = SafetensorsFile.open(path);
    SafetensorsWriter.write(path, List.of());
    assertChanged(replaced.tensor(name), "");

    SafetensorsWriter.write(path, tensors);
    SafetensorsFile cut = SafetensorsFile.open(path);
    try (FileChannel file = FileChannel.open(path, StandardOpenOption.WRITE)) {
      file.truncate(100);
    }
    assertChanged(cut.tensor(name), "now 100");

    SafetensorsWriter.write(path, tensors);
    SafetensorsFile written = SafetensorsFile.open(path);
    byte[] same = Files.readAllBytes(path);
    Files.write(path, same);
    Files.setLastModifiedTime(path, FileTime.fromMillis(1000)); // clocks may be coarse
    assertChanged(written.tensor(name), "written to at 1970");

    SafetensorsFile deleted = SafetensorsFile.open(path);
    Files.delete(path);
    assertThatThrownBy(() -> deleted.tensor(name).data())
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("a.safetensors");
  }

  private static void assertChanged(StoredTensor tensor, String how) {
    assertThatThrownBy(tensor::data)
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("a.safetensors changed while it was open")
        .hasMessageContaining(how);
  }

  @Test
  void anInterruptedThreadIsTold() {
    Path path = directory.resolve("a.safetensors");
    SafetensorsWriter.write(path, oneOfEachType(new Random(3)));
    Thread.currentThread().interrupt();
    try {
      assertThatThrownBy(() -> SafetensorsFile.open(path))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("interrupted");
    } finally {
      assertThat(Thread.interrupted()).isTrue();
    }
  }

  @Test
  void equalContentGivesEqualBytes() {
    List<StoredTensor> tensors = oneOfEachType(new Random(4));
    Path first = directory.resolve("1.safetensors");
    Path second = directory.resolve("2.safetensors");
    SafetensorsWriter.write(first, tensors);
    Collections.reverse(tensors);
    SafetensorsWriter.write(second, tensors);
    assertThat(IoFixtures.read(second)).isEqualTo(IoFixtures.read(first));
  }

  @Test
  void namesTheClosestNamesAndBothShapes() {
    Path path = directory.resolve("unet.safetensors");
    SafetensorsWriter.write(
        path,
        List.of(
            StoredTensor.ofFloats("conv_in.weight", DType.F32, Shape.of(2, 3), new float[6]),
            StoredTensor.ofFloats(
                "mid_block.attentions.0.proj_in.bias", DType.F32, Shape.of(1), new float[1])));
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      assertThatThrownBy(() -> file.tensor("conv_im.weight"))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("unet.safetensors")
          .hasMessageContaining("closest: 'conv_in.weight'");
      assertThatThrownBy(() -> file.tensor("conv_in.weight", Shape.of(3, 2)))
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("conv_in.weight in ")
          .hasMessageContaining("expected [3, 2], found [2, 3]");
    }
  }

  @Test
  void checksWhatTheGoldenFilesLeaveOut() {
    Map.of(
            "{\"x\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                "'dtype' occurs twice",
            "{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}x", "not valid JSON",
            "{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,1]}}", "two data_offsets",
            "{\"x\":{\"dtype\":\"U8\",\"shape\":[1e0],\"data_offsets\":[0,1]}}", "found 1e0",
            "{\"x\":{\"dtype\":\"U8\",\"shape\":[\"1\"],\"data_offsets\":[0,1]}}", "found a string",
            "{\"x\":{\"dtype\":\"U8\",\"shape\":[9223372036854775808],\"data_offsets\":[0,1]}}",
                "2^63",
            "{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},}", "not valid JSON",
            "{x:{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", "not valid JSON",
            "{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", "occurs twice",
            "{\"__metadata__\":{},\"__metadata__\":{}}", "occurs twice")
        .forEach(
            (header, words) -> {
              byte[] bytes =
                  IoFixtures.safetensors(header, new byte[header.startsWith("{\"__") ? 0 : 1]);
              Path path = IoFixtures.write(directory.resolve("x.safetensors"), bytes);
              assertThatThrownBy(() -> SafetensorsFile.open(path))
                  .as(header)
                  .isInstanceOf(LongAlignException.class)
                  .hasMessageContaining(words);
            });
  }

  @Test
  void recognisesWhatIsNoWeightsAtAll() {
    Path pointer =
        IoFixtures.write(
            directory.resolve("model.safetensors"),
            "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 3438167540\n");
    assertThatThrownBy(() -> TensorFiles.open(pointer)).hasMessageContaining("git lfs pull");
    Path torch = directory.resolve("renamed.safetensors");
    IoFixtures.write(torch, IoFixtures.read(IoFixtures.GOLDEN.resolve("io/list_fp16.pt")));
    assertThatThrownBy(() -> TensorFiles.open(torch)).hasMessageContaining(".pt");
    assertThatThrownBy(() -> TensorFiles.open(directory)).hasMessageContaining("is a directory");
    assertThatThrownBy(() -> TensorFiles.open(directory.resolve("no.bin")))
        .hasMessageContaining("no such file");
    Path unknown = IoFixtures.write(directory.resolve("weights.dat"), "hello");
    assertThatThrownBy(() -> TensorFiles.open(unknown)).hasMessageContaining("expected weights");
  }

  @Test
  void opensSafetensorsUnderAnyName() {
    Path path = directory.resolve("weights.dat");
    SafetensorsWriter.write(path, oneOfEachType(new Random(5)));
    try (TensorFile file = TensorFiles.open(path)) {
      assertThat(file).isInstanceOf(SafetensorsFile.class);
    }
  }

  @Test
  void refusesToWriteWhatCouldNotBeRead() {
    Path path = directory.resolve("x.safetensors");
    StoredTensor tensor = StoredTensor.ofFloats("x", DType.F32, Shape.of(1), new float[1]);
    StoredTensor lying =
        StoredTensor.lazy("x", DType.F32, Shape.of(2), "device", () -> ByteBuffer.allocate(4));
    assertThatThrownBy(() -> SafetensorsWriter.write(path, List.of(tensor, tensor)))
        .hasMessageContaining("twice");
    assertThatThrownBy(() -> SafetensorsWriter.write(path, List.of(tensor.named("__metadata__"))))
        .hasMessageContaining("reserved");
    assertThatThrownBy(() -> SafetensorsWriter.write(path, List.of(tensor.named("\ud800"))))
        .hasMessageContaining("Unicode");
    assertThatThrownBy(() -> SafetensorsWriter.write(path, List.of(lying)))
        .hasMessageContaining("expected 8 bytes, got 4");
    assertThat(IoFixtures.list(directory)).isEmpty();
  }

  @Test
  void convertsIntegersAndRefusesTheRest() {
    ByteBuffer bytes =
        ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).putLong(-1).putLong(Long.MIN_VALUE);
    StoredTensor unsigned = StoredTensor.of("u", DType.U64, Shape.of(2), bytes.flip());
    assertThat(unsigned.toFloats()).containsExactly(0x1p64f, 0x1p63f);
    assertThat(unsigned.toDoubles()).containsExactly(0x1p64, 0x1p63);
    StoredTensor floats =
        StoredTensor.ofFloats("f", DType.BF16, Shape.of(2), new float[] {1, -2.5f});
    assertThat(floats.toFloats()).containsExactly(1, -2.5f);
    assertThatThrownBy(floats::toLongs).hasMessageContaining("expected integers, found BF16");
    assertThatThrownBy(() -> StoredTensor.ofFloats("f", DType.F32, Shape.of(3), new float[2]))
        .hasMessageContaining("has 3 elements, given 2");
    assertThatThrownBy(() -> StoredTensor.ofFloats("f", DType.I8, Shape.of(1), new float[1]))
        .hasMessageContaining("cannot store floats as I8");
  }

  @Test
  void shardsReadAsOneFile() {
    SafetensorsWriter.write(
        directory.resolve("m-00001-of-00002.safetensors"),
        List.of(StoredTensor.ofFloats("a", DType.F32, Shape.of(1), new float[] {1})));
    SafetensorsWriter.write(
        directory.resolve("m-00002-of-00002.safetensors"),
        List.of(StoredTensor.ofFloats("b", DType.F16, Shape.of(2), new float[] {2, 3})));
    try (TensorFile file =
        TensorFiles.open(index("m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"))) {
      assertThat(file.names()).containsExactly("a", "b");
      assertThat(file.tensor("b").toFloats()).containsExactly(2, 3);
      Path shard = file.tensor("b").region().orElseThrow().file();
      assertThat(shard.getFileName()).hasToString("m-00002-of-00002.safetensors");
      assertThat(file.metadata()).containsEntry("total_size", "8");
      assertThatThrownBy(() -> file.tensor("c")).hasMessageContaining("m.safetensors.index.json");
    }
    assertThatThrownBy(
            () ->
                TensorFiles.open(
                    index("m-00002-of-00002.safetensors", "m-00001-of-00002.safetensors")))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("not in the shard that the index gives");
    assertThatThrownBy(
            () -> TensorFiles.open(index("m-00001-of-00002.safetensors", "gone.safetensors")))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("incomplete download");
  }

  @Test
  void shardsStayInTheirDirectory() {
    for (String name :
        List.of(
            "../x.safetensors",
            "/etc/passwd",
            "..",
            ".",
            "",
            "a/b.bin",
            "C:x",
            "a\\\\b",
            "i.json",
            "a\\u0000b")) {
      assertThatThrownBy(() -> TensorFiles.open(index(name, name)))
          .as(name)
          .isInstanceOf(LongAlignException.class)
          .hasMessageContaining("in the same directory");
    }
    Path number =
        IoFixtures.write(
            directory.resolve("n.safetensors.index.json"), "{\"weight_map\":{\"a\":3}}");
    assertThatThrownBy(() -> TensorFiles.open(number)).hasMessageContaining("found the number 3");
    Path none =
        IoFixtures.write(directory.resolve("o.safetensors.index.json"), "{\"weight_map\":[]}");
    assertThatThrownBy(() -> TensorFiles.open(none))
        .hasMessageContaining("key 'weight_map': expected an object");
  }

  private Path index(String a, String b) {
    return IoFixtures.write(
        directory.resolve("m.safetensors.index.json"),
        "{\"metadata\":{\"total_size\":8},\"weight_map\":{\"a\":\""
            + a
            + "\",\"b\":\""
            + b
            + "\"}}");
  }

  @Test
  void readsWhatTheReferenceLibraryReads() {
    String entry = "\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8]}";
    for (String header :
        List.of(
            " \t\r\n{" + entry + "}",
            "{" + entry + "} \n",
            "{\"__metadata__\": null, " + entry + "}",
            "{\"__metadata__\": {}, " + entry + "}")) {
      Path path =
          IoFixtures.write(
              directory.resolve(files++ + ".bin"), IoFixtures.safetensors(header, new byte[8]));
      try (TensorFile file = TensorFiles.open(path)) {
        assertThat(file.tensor("a").toFloats()).as(header).containsExactly(0, 0);
        assertThat(file.metadata()).isEmpty();
      }
    }
  }

  @Test
  void aTensorOfAnotherTypeIsRefusedWhenItIsAskedFor() {
    Map<String, Integer> bits =
        Map.of(
            "C64",
            64,
            "F8_E8M0",
            8,
            "F8_E4M3FNUZ",
            8,
            "F8_E5M2FNUZ",
            8,
            "F6_E2M3",
            6,
            "F6_E3M2",
            6,
            "F4",
            4);
    bits.forEach(
        (type, width) -> {
          int bytes = 8 * width / 8;
          String header =
              "{\"odd\": {\"dtype\": \"%s\", \"shape\": [8], \"data_offsets\": [0, %d]}, \"a\":"
                      .formatted(type, bytes)
                  + "{\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [%d, %d]}}"
                      .formatted(bytes, bytes + 4);
          Path path =
              IoFixtures.write(
                  directory.resolve(type + ".safetensors"),
                  IoFixtures.safetensors(header, new byte[bytes + 4]));
          try (TensorFile file = TensorFiles.open(path)) {
            assertThat(file.names()).containsExactly("odd", "a");
            assertThat(file.tensors()).extracting(StoredTensor::name).containsExactly("a");
            assertThatThrownBy(() -> file.tensor("odd"))
                .isExactlyInstanceOf(LongAlignException.class)
                .hasMessageContaining("'odd'")
                .hasMessageContaining("found " + type);
          }
        });
    String cut = "{\"a\": {\"dtype\": \"F4\", \"shape\": [3], \"data_offsets\": [0, 1]}}";
    Path path =
        IoFixtures.write(
            directory.resolve("cut.safetensors"), IoFixtures.safetensors(cut, new byte[1]));
    assertThatThrownBy(() -> TensorFiles.open(path)).hasMessageContaining("whole byte");
  }
}
