package dev.longalign.random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.LongAlignException;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;

/**
 * Against torch 2.13 (CPU, AVX2), bit by bit. The resource was made with:
 *
 * <pre>{@code
 * cases = []
 * for seed, sizes in [(0, [1, 2, 15, 16]), (42, [3, 5, 17, 40]), (2**32 + 7, [4, 31]), (123456789, [16384])]:
 *     g = torch.Generator().manual_seed(seed)
 *     for n in sizes + [n for n in sizes if n < 16][:1]:           # successive draws of one generator
 *         x = torch.randn(n, generator=g)
 *         step = max(1, n // 40)
 *         cases.append({"seed": seed, "size": n, "step": step, "values": x[::step].tolist(),
 *             "sum": x.double().sum().item(),
 *             "bits": (x.view(torch.int32).long() * torch.arange(1, n + 1)).sum().item()})
 * g = torch.Generator().manual_seed(7)
 * other = {"rand": torch.rand(20, generator=g).tolist(),
 *     "randint_10": torch.randint(0, 10, (12,), generator=g).tolist(),
 *     "randint_wide": torch.randint(-5, 2**40, (6,), generator=g).tolist(),
 *     "randint_28": torch.randint(0, 2**28, (4,), generator=g).tolist(),
 *     "randperm_30": torch.randperm(30, generator=g).tolist(), "after": torch.randn(3, generator=g).tolist()}
 * other["state"] = bytes(g.get_state().tolist()).hex()
 * other["after_state"] = torch.randn(20, generator=g).tolist()
 * other["after_after"] = torch.randn(2, generator=g).tolist()
 * json.dump({"randn": cases, "other": other}, open("torch_random.json", "w"))
 * }</pre>
 */
class TorchGeneratorTest {
  private final JsonObject expected = read();

  private static JsonObject read() {
    try (Reader reader =
        new InputStreamReader(
            TorchGeneratorTest.class.getResourceAsStream("torch_random.json"),
            StandardCharsets.UTF_8)) {
      return JsonParser.parseReader(reader).getAsJsonObject();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void normalNumbersEqualTorchBitByBit() {
    TorchGenerator generator = null;
    long seed = -1;
    for (JsonElement element : expected.getAsJsonArray("randn")) {
      JsonObject draw = element.getAsJsonObject();
      if (generator == null || seed != draw.get("seed").getAsLong()) {
        seed = draw.get("seed").getAsLong();
        generator = new TorchGenerator(seed);
      }
      float[] actual = generator.randn(draw.get("size").getAsInt());
      int step = draw.get("step").getAsInt();
      float[] values = floats(draw.getAsJsonArray("values"));
      long bits = 0;
      for (int i = 0; i < actual.length; i++) {
        bits += (i + 1L) * Float.floatToRawIntBits(actual[i]);
        if (i % step == 0) {
          assertThat(actual[i])
              .as("seed %d, size %d, element %d", seed, actual.length, i)
              .isEqualTo(values[i / step]);
        }
      }
      assertThat(bits)
          .as("digest of all bits, seed %d, size %d", seed, actual.length)
          .isEqualTo(draw.get("bits").getAsLong());
    }
  }

  @Test
  void uniformIntegersAndPermutationsEqualTorch() {
    JsonObject other = expected.getAsJsonObject("other");
    TorchGenerator generator = new TorchGenerator(7);
    assertThat(generator.rand(20)).isEqualTo(floats(other.getAsJsonArray("rand")));
    assertThat(generator.randint(0, 10, 12)).isEqualTo(longs(other.getAsJsonArray("randint_10")));
    assertThat(generator.randint(-5, 1L << 40, 6))
        .isEqualTo(longs(other.getAsJsonArray("randint_wide")));
    assertThat(generator.randint(0, 1L << 28, 4))
        .isEqualTo(longs(other.getAsJsonArray("randint_28")));
    assertThat(generator.randperm(30)).containsExactly(ints(other.getAsJsonArray("randperm_30")));
    assertThat(generator.randn(3)).isEqualTo(floats(other.getAsJsonArray("after")));
    assertThat(HexFormat.of().formatHex(generator.getState()))
        .isEqualTo(other.get("state").getAsString());
  }

  @Test
  void continuesFromAStateThatTorchSaved() {
    JsonObject other = expected.getAsJsonObject("other");
    TorchGenerator generator = new TorchGenerator(0);
    generator.setState(HexFormat.of().parseHex(other.get("state").getAsString()));
    assertThat(generator.randn(20)).isEqualTo(floats(other.getAsJsonArray("after_state")));
    assertThat(generator.randn(2)).isEqualTo(floats(other.getAsJsonArray("after_after")));
  }

  @Test
  void stateKeepsTheCachedHalfOfAPair() {
    TorchGenerator generator = new TorchGenerator(5);
    generator.randn(1);
    TorchGenerator copy = new TorchGenerator(99);
    copy.setState(generator.getState());
    assertThat(copy.randn(2000)).isEqualTo(generator.randn(2000));
    assertThat(copy.randn(3)).isEqualTo(generator.randn(3));
  }

  @Test
  void refusesBadStatesAndRanges() {
    TorchGenerator generator = new TorchGenerator(5);
    assertThatThrownBy(() -> generator.setState(new byte[16]))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("5056")
        .hasMessageContaining("16");
    assertThatThrownBy(() -> generator.setState(new byte[5056]))
        .isInstanceOf(LongAlignException.class);
    assertThatThrownBy(() -> generator.randint(3, 3, 1))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("[3, 3)");
  }

  private static float[] floats(JsonArray array) {
    float[] values = new float[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) array.get(i).getAsDouble();
    }
    return values;
  }

  private static long[] longs(JsonArray array) {
    return array.asList().stream().mapToLong(JsonElement::getAsLong).toArray();
  }

  private static int[] ints(JsonArray array) {
    return array.asList().stream().mapToInt(JsonElement::getAsInt).toArray();
  }
}
