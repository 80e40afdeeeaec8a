package dev.longalign.cli;

import dev.longalign.EmbeddedModel;
import dev.longalign.LongAlignException;
import dev.longalign.cli.Check.Status;
import dev.longalign.host.CacheFolder;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** CPU features, memory, JDK and disk, as the kernel tells them under {@code /proc}. */
final class HostChecks {
  /** SD 1.5 with LongAlign in bf16 needs 4 GiB; the embedded model a fraction of one. */
  private static final long ROOM_FOR_SD15 = 4L << 30;

  private static final List<String> FEATURES =
      List.of(
          "avx2",
          "fma",
          "avx_vnni",
          "avx512f",
          "avx512_vnni",
          "avx512_bf16",
          "avx512_fp16",
          "amx_tile",
          "amx_bf16");

  private final Path proc;
  private final Path cgroup;

  HostChecks() {
    this(Path.of("/proc"), Path.of("/sys/fs/cgroup"));
  }

  HostChecks(Path proc, Path cgroup) {
    this.proc = proc;
    this.cgroup = cgroup;
  }

  List<Check> all() {
    List<Check> checks = new ArrayList<>();
    checks.addAll(cpu());
    checks.add(memory());
    checks.add(java());
    checks.add(cache());
    return checks;
  }

  List<Check> cpu() {
    Map<String, String> info = fields(proc.resolve("cpuinfo"));
    int cores = Runtime.getRuntime().availableProcessors();
    if (info.isEmpty()) {
      return List.of(
          new Check(
              "cpu",
              "processor",
              Status.LIMITED,
              cores + " cores, " + System.getProperty("os.arch") + "; " + proc + " is not readable",
              "features are known on Linux only"));
    }
    Set<String> flags = new LinkedHashSet<>(List.of(info.getOrDefault("flags", "").split("\\s+")));
    List<String> known = FEATURES.stream().filter(flags::contains).toList();
    Check processor =
        Check.ok(
            "cpu",
            "processor",
            info.getOrDefault("model name", "unknown") + ", " + cores + " cores for this process");
    boolean vectors = flags.contains("avx2");
    Check features =
        new Check(
            "cpu",
            "features",
            vectors ? Status.OK : Status.LIMITED,
            known.isEmpty() ? "none of " + String.join(" ", FEATURES) : String.join(" ", known),
            vectors ? null : "without AVX2 sampling takes many times longer; use another machine");
    boolean bf16 = flags.contains("avx512_bf16") || flags.contains("amx_bf16");
    Check precision =
        bf16
            ? Check.ok("cpu", "bf16", "in hardware: --precision bf16 is about twice as fast as f32")
            : new Check(
                "cpu",
                "bf16",
                Status.LIMITED,
                "neither avx512_bf16 nor amx_bf16",
                "use --precision f32; asking for bf16 is refused on this processor");
    return List.of(processor, features, precision);
  }

  Check memory() {
    Map<String, String> info = fields(proc.resolve("meminfo"));
    long total = kib(info.get("MemTotal"));
    long available = kib(info.get("MemAvailable"));
    long limit = cgroupLimit();
    if (total == 0) {
      return new Check("memory", "main memory", Status.LIMITED, "unknown", null);
    }
    boolean limited = limit > 0 && limit < total;
    String found =
        gib(total)
            + " GiB, "
            + gib(available)
            + " available"
            + (limited ? ", this container may use " + gib(limit) : "");
    long room = limited ? Math.min(limit, available) : available;
    return room >= ROOM_FOR_SD15
        ? Check.ok("memory", "main memory", found)
        : new Check(
            "memory",
            "main memory",
            Status.LIMITED,
            found,
            "the embedded model fits; Stable Diffusion 1.5 wants 4 GiB in bf16, 8 in f32");
  }

  private static Check java() {
    long heap = Runtime.getRuntime().maxMemory();
    return Check.ok(
        "java",
        "JDK",
        System.getProperty("java.version")
            + " ("
            + System.getProperty("java.vendor")
            + "), heap up to "
            + gib(heap)
            + " GiB, started with "
            + ManagementFactory.getRuntimeMXBean().getInputArguments());
  }

  private static Check cache() {
    try {
      Path root = CacheFolder.root();
      EmbeddedModel.directory();
      boolean posix = root.getFileSystem().supportedFileAttributeViews().contains("posix");
      String found =
          root
              + (posix
                  ? ", " + PosixFilePermissions.toString(Files.getPosixFilePermissions(root))
                  : "")
              + ", of "
              + Files.getOwner(root)
              + ", "
              + gib(Files.getFileStore(root).getUsableSpace())
              + " GiB free";
      return CacheFolder.isTemporary()
          ? new Check(
              "files",
              "cache",
              Status.LIMITED,
              found + ", for this run only",
              "natives and the embedded model, 170 MB, are unpacked for every run; the warning above"
                  + " says why")
          : Check.ok("files", "cache", found);
    } catch (LongAlignException | IOException e) {
      return new Check("files", "cache", Status.FAILED, e.toString(), null);
    }
  }

  /** The smallest limit of cgroup v2 or v1, or 0. */
  private long cgroupLimit() {
    for (String name : List.of("memory.max", "memory/memory.limit_in_bytes")) {
      try {
        String text = Files.readString(cgroup.resolve(name)).trim();
        if (text.matches("\\d{1,18}")) {
          return Long.parseLong(text);
        }
      } catch (IOException e) {
        // Not this version of cgroups.
      }
    }
    return 0;
  }

  /** {@code name : value} lines; the first of a name counts. */
  private static Map<String, String> fields(Path file) {
    Map<String, String> fields = new HashMap<>();
    try {
      for (String line : Files.readAllLines(file)) {
        int colon = line.indexOf(':');
        if (colon > 0) {
          fields.putIfAbsent(line.substring(0, colon).trim(), line.substring(colon + 1).trim());
        }
      }
    } catch (IOException e) {
      return Map.of();
    }
    return fields;
  }

  private static long kib(String value) {
    return value == null || !value.matches("\\d{1,15} kB")
        ? 0
        : Long.parseLong(value.substring(0, value.indexOf(' '))) << 10;
  }

  static String gib(long bytes) {
    return String.format(Locale.ROOT, "%.1f", bytes / (double) (1L << 30));
  }
}
