package dev.longalign.io;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class FloatBitsTest {
  @Test
  void everyHalfSurvivesARoundTrip() {
    for (int bits = 0; bits <= 0xffff; bits++) {
      float f16 = FloatBits.fromF16((short) bits);
      float bf16 = FloatBits.fromBf16((short) bits);
      if (!Float.isNaN(f16)) {
        assertThat(FloatBits.toF16(f16) & 0xffff).isEqualTo(bits);
      }
      if (!Float.isNaN(bf16)) {
        assertThat(FloatBits.toBf16(bf16) & 0xffff).isEqualTo(bits);
      }
    }
  }

  /**
   * Halfway between two neighbours goes to the even one, a little more or less to the nearer one.
   */
  @Test
  void roundsToNearestEven() {
    for (int bits = 0; bits < 0x7bff; bits++) {
      float low = FloatBits.fromF16((short) bits);
      float middle = (low + FloatBits.fromF16((short) (bits + 1))) / 2;
      int even = bits % 2 == 0 ? bits : bits + 1;
      assertThat(FloatBits.toF16(middle) & 0xffff).isEqualTo(even);
      assertThat(FloatBits.toF16(Math.nextDown(middle)) & 0xffff).isEqualTo(bits);
      assertThat(FloatBits.toF16(-Math.nextUp(middle)) & 0xffff).isEqualTo(0x8000 | bits + 1);
    }
    assertThat(FloatBits.toBf16(Float.intBitsToFloat(0x3f808000)) & 0xffff).isEqualTo(0x3f80);
    assertThat(FloatBits.toBf16(Float.intBitsToFloat(0x3f818000)) & 0xffff).isEqualTo(0x3f82);
    assertThat(FloatBits.toBf16(Float.intBitsToFloat(0x3f808001)) & 0xffff).isEqualTo(0x3f81);
  }

  @Test
  void overflowsAndSpecialValues() {
    assertThat(FloatBits.toF16(65519f) & 0xffff).isEqualTo(0x7bff);
    assertThat(FloatBits.toF16(65520f) & 0xffff).isEqualTo(0x7c00);
    assertThat(FloatBits.toF16(-1e30f) & 0xffff).isEqualTo(0xfc00);
    assertThat(FloatBits.fromF16(FloatBits.toF16(Float.NaN))).isNaN();
    assertThat(FloatBits.fromBf16(FloatBits.toBf16(Float.intBitsToFloat(0x7f800001)))).isNaN();
    assertThat(FloatBits.toBf16(Float.MAX_VALUE) & 0xffff).isEqualTo(0x7f80);
    assertThat(Float.floatToIntBits(FloatBits.fromF16((short) 0x8000))).isEqualTo(0x80000000);
  }

  /**
   * Values from torch: {@code torch.tensor([...],
   * dtype=torch.uint8).view(torch.float8_e4m3fn).float()}.
   */
  @Test
  void readsEightBitFloats() {
    assertThat(FloatBits.fromF8E4M3((byte) 0x38)).isEqualTo(1f);
    assertThat(FloatBits.fromF8E4M3((byte) 0x7e)).isEqualTo(448f);
    assertThat(FloatBits.fromF8E4M3((byte) 0x01)).isEqualTo(0.001953125f);
    assertThat(FloatBits.fromF8E4M3((byte) 0xc5)).isEqualTo(-3.25f);
    assertThat(FloatBits.fromF8E4M3((byte) 0x7f)).isNaN();
    assertThat(FloatBits.fromF8E5M2((byte) 0x3c)).isEqualTo(1f);
    assertThat(FloatBits.fromF8E5M2((byte) 0x7b)).isEqualTo(57344f);
    assertThat(FloatBits.fromF8E5M2((byte) 0xfc)).isEqualTo(Float.NEGATIVE_INFINITY);
    assertThat(FloatBits.fromF8E5M2((byte) 0x01)).isEqualTo(1.52587890625e-05f);
  }
}
