package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.longalign.io.LimitedDisk;
import dev.longalign.tensor.cpu.CpuBackend;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Checkpoints, exports and feature caches on a disk that gets full. */
class FullDiskTest {
  private static final long DISK_BYTES = 64 << 20;
  private static final long FILE_BYTES = 2 << 20;

  @TempDir Path directory;

  /** The natives are unpacked by who may write. */
  @BeforeAll
  static void unpackNatives() {
    new CpuBackend(1).close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"checkpoint", "export", "cache"})
  void leavesWhatWasThereAndGoesOnWithSpace(String scenario) {
    check(LimitedDisk.onSmallDisk(directory, DISK_BYTES, FullDiskScenarios.class, scenario));
  }

  @Test
  void aFileThatMayNotBeSoLarge() {
    check(LimitedDisk.withFileLimit(directory, FILE_BYTES, FullDiskScenarios.class, "file-limit"));
  }

  private static void check(LimitedDisk.Result result) {
    assertThat(result.exitCode()).as(result.output()).isZero();
  }
}
