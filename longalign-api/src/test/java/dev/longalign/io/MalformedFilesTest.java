package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.zip.ZipFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Random damage to valid files: the answer is a content or a {@link LongAlignException}, never
 * anything else.
 */
class MalformedFilesTest {
  private static final Path IO = IoFixtures.GOLDEN.resolve("io");
  private static final int MUTATIONS = 200;

  /** Bytes that mean something to a pickle, a JSON text or a length. */
  private static final byte[] TELLING = {
    0,
    1,
    2,
    (byte) 0x7f,
    (byte) 0x80,
    (byte) 0xff,
    '(',
    ')',
    '.',
    '0',
    '1',
    '2',
    'Q',
    'R',
    'b',
    'c',
    'e',
    'h',
    'q',
    's',
    't',
    'u',
    'J',
    'K',
    'M',
    'N',
    'X',
    ']',
    '}',
    '{',
    '[',
    '"',
    ',',
    ':',
    '-',
    (byte) 0x85,
    (byte) 0x86,
    (byte) 0x8a,
    (byte) 0x8b,
    (byte) 0x93,
    (byte) 0x94,
    (byte) 0x95
  };

  @TempDir Path directory;
  private int files;
  private int refused;

  private static byte[] mutate(byte[] original, int from, int to, Random random) {
    byte[] bytes = original.clone();
    for (int n = 1 + random.nextInt(4); n > 0; n--) {
      int at = from + random.nextInt(Math.max(1, Math.min(to, bytes.length) - from));
      switch (random.nextInt(6)) {
        case 0 -> bytes[at] ^= 1 << random.nextInt(8);
        case 1 -> bytes[at] = (byte) random.nextInt(256);
        case 2 ->
            bytes = cut(bytes, at, Math.min(bytes.length, at + 1 + random.nextInt(8)), new byte[0]);
        case 3 -> {
          int length = Math.min(bytes.length - at, 1 + random.nextInt(24));
          bytes = cut(bytes, at, at, Arrays.copyOfRange(bytes, at, at + length));
        }
        default -> bytes[at] = TELLING[random.nextInt(TELLING.length)];
      }
      if (bytes.length <= from) {
        return bytes;
      }
    }
    return bytes;
  }

  private static byte[] cut(byte[] bytes, int from, int to, byte[] replacement) {
    byte[] out = new byte[bytes.length - (to - from) + replacement.length];
    System.arraycopy(bytes, 0, out, 0, from);
    System.arraycopy(replacement, 0, out, from, replacement.length);
    System.arraycopy(bytes, to, out, from + replacement.length, bytes.length - to);
    return out;
  }

  private void readAll(byte[] bytes, String extension, String what) throws IOException {
    // A new name each time: an old file may still be mapped.
    Path path = IoFixtures.write(directory.resolve(files++ + extension), bytes);
    try (TensorFile file = TensorFiles.open(path)) {
      for (StoredTensor tensor : file.tensors()) {
        if (tensor.byteSize() < 1 << 20) {
          assertThat(tensor.toDoubles()).hasSize((int) tensor.shape().size());
        }
      }
    } catch (LongAlignException expected) {
      refused++;
      assertThat(expected.getMessage()).as(what).contains(path.getFileName().toString());
    } catch (RuntimeException | Error other) {
      throw new AssertionError(what + ": " + Arrays.toString(bytes), other);
    } finally {
      Files.delete(path);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"all_dtypes.safetensors", "odd_names.safetensors", "reordered.safetensors"})
  void damagedSafetensors(String name) throws IOException {
    byte[] original = IoFixtures.read(IO.resolve(name));
    Random random = new Random(name.hashCode());
    int header = Math.min(original.length, 400);
    for (int i = 0; i < MUTATIONS; i++) {
      byte[] bytes = mutate(original, i % 4 == 0 ? 0 : 8, header, random);
      if (i % 2 == 0 && bytes.length > 8) { // keep the length right, so that the JSON is reached
        int shift = bytes.length - original.length;
        int length = original[0] + ((original[1] & 0xff) << 8) + shift;
        bytes[0] = (byte) length;
        bytes[1] = (byte) (length >> 8);
      }
      readAll(bytes, ".safetensors", name + " mutation " + i);
    }
    assertThat(refused).isGreaterThan(MUTATIONS / 2);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "list_fp16.pt",
        "dict.pt",
        "state_dict.pt",
        "strided_views.pt",
        "protocol4.pt",
        "handmade.pt"
      })
  void damagedPickles(String name) throws IOException {
    damagedPickles(IO.resolve(name), MUTATIONS);
    assertThat(refused).isGreaterThan(MUTATIONS / 2);
  }

  /** Much of such a file may change without harm: what is thrown away may be anything. */
  @Test
  void damagedSideData() throws IOException {
    damagedPickles(Path.of("src/test/resources/dev/longalign/io/side_data.pt"), 5 * MUTATIONS);
    assertThat(refused).isGreaterThan(MUTATIONS);
  }

  private void damagedPickles(Path file, int mutations) throws IOException {
    String name = file.getFileName().toString();
    Random random = new Random(name.hashCode());
    byte[] pickle = null;
    Map<String, byte[]> storages = new LinkedHashMap<>();
    try (ZipFile zip = new ZipFile(file.toFile())) {
      for (var entry : Collections.list(zip.entries())) {
        String[] parts = entry.getName().split("/", 2);
        if (parts[1].equals("data.pkl")) {
          pickle = zip.getInputStream(entry).readAllBytes();
        } else if (parts[1].startsWith("data/")) {
          storages.put(parts[1].substring(5), zip.getInputStream(entry).readAllBytes());
        }
      }
    }
    for (int i = 0; i < mutations; i++) {
      String mutated =
          new String(mutate(pickle, 0, pickle.length, random), StandardCharsets.ISO_8859_1);
      readAll(IoFixtures.torchZip(mutated, storages), ".pt", name + " mutation " + i);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "list_fp32.pt",
        "list_fp16_deflated.pt",
        "handmade.pt",
        "legacy_format.pt",
        "legacy_dict.pt"
      })
  void damagedArchives(String name) throws IOException {
    byte[] original = IoFixtures.read(IO.resolve(name));
    Random random = new Random(name.hashCode());
    for (int i = 0; i < MUTATIONS; i++) {
      int from =
          name.startsWith("legacy") || i % 2 == 0
              ? 0
              : original.length * 3 / 4; // the zip's directory
      readAll(mutate(original, from, original.length, random), ".pt", name + " mutation " + i);
    }
    assertThat(refused).isGreaterThan(MUTATIONS / 4);
  }

  @Test
  void everyTruncationIsRefused() throws IOException {
    List<String> names =
        new ArrayList<>(List.of("odd_names.safetensors", "handmade.pt", "legacy_dict.pt"));
    int expected = 0;
    for (String name : names) {
      byte[] original = IoFixtures.read(IO.resolve(name));
      for (int length = 0; length < original.length; length++) {
        expected++;
        readAll(
            Arrays.copyOf(original, length),
            name.substring(name.indexOf('.')),
            name + " cut at " + length);
      }
    }
    assertThat(refused).isEqualTo(expected);
  }
}
