package dev.longalign.tensor.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FreeMemoryTest {
  @TempDir Path root;

  @Test
  void whatTheSystemHas() throws IOException {
    assertThat(new FreeMemory(root).read()).isEqualTo(FreeMemory.UNKNOWN);
    write("proc/meminfo", "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable:   6000 kB\n");
    assertThat(new FreeMemory(root).read()).isEqualTo(6000 * 1024);
    write("proc/self/cgroup", "0::/\n");
    assertThat(new FreeMemory(root).read()).isEqualTo(6000 * 1024);
    assertThat(FreeMemory.bytes()).isPositive();
  }

  /** The group inside is not limited, the one around it is. */
  @Test
  void whatAContainerLeaves() throws IOException {
    write("proc/meminfo", "MemAvailable: 6000 kB\n");
    write("proc/self/cgroup", "0::/pod/inner\n");
    write("sys/fs/cgroup/pod/inner/memory.max", "max\n");
    write("sys/fs/cgroup/pod/inner/memory.current", "100\n");
    write("sys/fs/cgroup/pod/memory.max", "1000000\n");
    write("sys/fs/cgroup/pod/memory.current", "900000\n");
    assertThat(new FreeMemory(root).read()).isEqualTo(100_000);
    write("sys/fs/cgroup/pod/memory.stat", "anon 1\nfile 300000\ninactive_file 250000\n");
    assertThat(new FreeMemory(root).read()).isEqualTo(350_000);
    write("sys/fs/cgroup/pod/memory.current", "2000000\n");
    assertThat(new FreeMemory(root).read()).isZero();
  }

  /** Version 1, whose path may be the host's: then only the top is to be seen. */
  @Test
  void olderControlGroups() throws IOException {
    write("proc/meminfo", "MemAvailable: 6000 kB\n");
    write("proc/self/cgroup", "5:cpu:/x\n4:hugetlb,memory:/docker/abc\n0::/\n");
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "4000000\n");
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "3500000\n");
    write("sys/fs/cgroup/memory/memory.stat", "inactive_file 7\ntotal_inactive_file 1000\n");
    assertThat(new FreeMemory(root).read()).isEqualTo(501_000);
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assertThat(new FreeMemory(root).read()).isEqualTo(6000 * 1024);
  }

  private void write(String name, String text) throws IOException {
    Path file = root.resolve(name);
    Files.createDirectories(file.getParent());
    Files.writeString(file, text);
  }
}
