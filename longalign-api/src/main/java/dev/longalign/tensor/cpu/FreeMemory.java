package dev.longalign.tensor.cpu;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * How much memory this process may still take before the system swaps or kills: what Linux calls
 * available, and what is left to every control group (a container is one) that it is in. Page cache
 * counts as free, since it gives way.
 */
final class FreeMemory {
  /** Where the system does not tell. */
  static final long UNKNOWN = Long.MAX_VALUE / 4;

  private final Path root;

  /**
   * @param root of the file system that holds {@code proc} and {@code sys}
   */
  FreeMemory(Path root) {
    this.root = root;
  }

  static long bytes() {
    return new FreeMemory(Path.of("/")).read();
  }

  long read() {
    long available = value(root.resolve("proc/meminfo"), "MemAvailable:");
    long free = available == UNKNOWN ? UNKNOWN : available * 1024;
    for (String line : lines(root.resolve("proc/self/cgroup"))) {
      String[] parts = line.split(":", 3); // number, controllers, path below the mount
      if (parts.length == 3 && parts[1].isEmpty()) {
        free =
            Math.min(free, groups("sys/fs/cgroup", parts[2], "memory.max", "memory.current", ""));
      } else if (parts.length == 3 && List.of(parts[1].split(",")).contains("memory")) {
        free =
            Math.min(
                free,
                groups(
                    "sys/fs/cgroup/memory",
                    parts[2],
                    "memory.limit_in_bytes",
                    "memory.usage_in_bytes",
                    "total_"));
      }
    }
    return free;
  }

  /** The least that a group and those around it leave; some may not be visible from inside. */
  private long groups(String mount, String path, String limit, String usage, String prefix) {
    Path top = root.resolve(mount);
    Path group = top.resolve(path.substring(path.startsWith("/") ? 1 : 0)).normalize();
    long free = UNKNOWN;
    for (; group != null && group.startsWith(top); group = group.getParent()) {
      long most = value(group.resolve(limit), "");
      long used = value(group.resolve(usage), "");
      if (most != UNKNOWN && used != UNKNOWN) {
        long cache = value(group.resolve("memory.stat"), prefix + "inactive_file");
        free = Math.min(free, Math.max(0, most - used + (cache == UNKNOWN ? 0 : cache)));
      }
    }
    return free;
  }

  /** The number of the line that starts with a name; {@link #UNKNOWN} if there is none. */
  private static long value(Path file, String name) {
    for (String line : lines(file)) {
      String[] words = (name.isEmpty() ? "x " + line : line).trim().split("\\s+");
      if (words.length > 1 && (name.isEmpty() || words[0].equals(name))) {
        return words[1].matches("\\d{1,18}") ? Long.parseLong(words[1]) : UNKNOWN; // or "max"
      }
    }
    return UNKNOWN;
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file, StandardCharsets.ISO_8859_1);
    } catch (IOException e) {
      return List.of();
    }
  }
}
