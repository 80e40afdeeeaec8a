package dev.longalign.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.LinearWeight;
import dev.longalign.tensor.OperationCost;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorFunction;
import dev.longalign.tensor.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/** Measured tiles: once, remembered, and only what is whole. */
class TileChoicesTest {
  private static final List<ProductTile> TILES = List.of(ProductTile.SMALL, ProductTile.LARGE);

  @TempDir Path temp;

  private Path file() {
    return temp.resolve("tiles.txt");
  }

  private TileChoices open(boolean measuring) {
    return new TileChoices(file(), measuring);
  }

  @Test
  void theFastestIsRemembered() throws IOException {
    TileChoices measuring = open(true);
    assertThat(
            measuring.measure(
                "linear_f32 1x2x3x1", TILES, t -> t == ProductTile.LARGE ? 1e-6 : 2e-6))
        .isEqualTo(ProductTile.LARGE);
    measuring.measure("linear_f32 9x2x3x1", TILES, ProductTile::rows);
    List<ProductTile> hopper = ProductTile.hopper(64, 160, 4096, 1, 132);
    assertThat(hopper).hasSizeGreaterThan(4).allMatch(t -> t.equals(reread(t)));
    ProductTile parts = hopper.get(hopper.size() - 1);
    assertThat(parts.parts()).isGreaterThan(1);
    measuring.measure("linear_bf16 64x160x4096x1", List.of(parts), t -> 1);

    TileChoices next = open(false);
    assertThat(next.get("linear_f32 1x2x3x1")).isEqualTo(ProductTile.LARGE);
    assertThat(next.get("linear_f32 9x2x3x1")).isEqualTo(ProductTile.SMALL);
    assertThat(next.get("linear_bf16 64x160x4096x1")).isEqualTo(parts);
    assertThat(next.get("linear_f32 7x2x3x1")).as("never measured").isNull();
    assertThat(next.measuring()).as("only when asked").isFalse();
    try (var files = Files.list(temp)) {
      assertThat(files).as("nothing half written").containsExactly(file());
    }
  }

  private static ProductTile reread(ProductTile tile) {
    return ProductTile.parse(tile.toString());
  }

  @Test
  void aBadFileIsNotUsedAndReplaced() throws IOException {
    for (String bad :
        List.of(
            "linear_f32 1x2x3x1 96x96\n",
            "linear_f32 1x2x3x1 64x64/2\n",
            "linear_f32 1x2x3x1 hopper_64x80/0\n",
            "128x128\n",
            "linear_f32 many\n",
            "\0")) {
      Files.writeString(file(), "linear_f32 5x5x5x1 128x128\n" + bad);
      TileChoices choices = open(true);
      assertThat(choices.get("linear_f32 5x5x5x1")).as(bad).isNull();
      choices.measure("linear_f32 1x2x3x1", TILES, tile -> -tile.rows());
      assertThat(Files.readString(file())).isEqualTo("linear_f32 1x2x3x1 128x128\n");
    }
  }

  @Test
  @EnabledIf(
      value = "dev.longalign.tensor.cuda.Emulator#isBuilt",
      disabledReason = Emulator.MISSING)
  void everyTileGivesTheSameProduct() {
    Emulator.require();
    List<float[]> results = new ArrayList<>();
    for (boolean tuned : new boolean[] {false, true}) {
      System.setProperty("longalign.cuda.tune", Boolean.toString(tuned));
      try (Backend backend = Device.cuda(0).open(0);
          TensorScope scope = TensorScope.open()) {
        float[] values = new float[70 * 24];
        for (int i = 0; i < values.length; i++) {
          values[i] = (i * 37 % 101) / 101f;
        }
        Tensor x = Tensor.of(backend, Shape.of(70, 24), values);
        LinearWeight weight = backend.packLinear(x, null, DType.F32);
        results.add(x.linear(weight).toFloats());
        // Captured products are not measured: they do not run.
        TensorFunction function = backend.repeated(operands -> operands[0].linear(weight));
        for (int call = 0; call < 3; call++) {
          assertThat(function.apply(x.rows(0, 66)).toFloats()[7]).isEqualTo(results.get(0)[7]);
        }
        OperationCost replay = backend.costs().get("replay");
        assertThat(replay.calls()).isEqualTo(2);
      } finally {
        System.clearProperty("longalign.cuda.tune");
      }
    }
    assertThat(results.get(1)).isEqualTo(results.get(0));
  }
}
