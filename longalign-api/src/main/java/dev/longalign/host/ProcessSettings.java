package dev.longalign.host;

import com.sun.jna.Function;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Platform;
import dev.longalign.LongAlignException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;

/**
 * All that this library sets for the whole process, before the first native library that reads it
 * is loaded. What a system property or the environment says already stands, but for telemetry:
 * nothing is ever sent.
 *
 * <table>
 * <caption>Settings</caption>
 * <tr><td>{@code ORT_DISABLE_TELEMETRY=1}</td><td>ONNX Runtime would otherwise send facts about this
 * machine to its makers when it starts, and keep a list of them under {@code ~/.cache}</td></tr>
 * <tr><td>{@code GOMP_SPINCOUNT=2000}</td><td>OpenMP's waiting threads sleep after microseconds.
 * Otherwise they spin: where another program wants the cores too, a thread then spins through its
 * time slice while the one it waits for is not running, and a step of the embedded model takes a
 * second instead of 20 ms</td></tr>
 * <tr><td>{@code org.bytedeco.javacpp.maxPhysicalBytes=0}</td><td>JavaCPP would otherwise refuse small
 * allocations where files in memory count as the process's own</td></tr>
 * <tr><td>{@code org.bytedeco.javacpp.cachedir}, {@code jna.boot.library.path}, {@code jna.tmpdir},
 * {@code onnxruntime.native.path}, {@code ZstdNativePath}, {@code org.xerial.snappy.lib.path}</td><td>
 * native libraries are unpacked to the {@link CacheFolder}, not to several places in the home and the
 * temporary directory</td></tr>
 * </table>
 */
public final class ProcessSettings {
  private static final AtomicBoolean APPLIED = new AtomicBoolean();

  private ProcessSettings() {}

  /**
   * Makes the settings, once; to be called before JNA, JavaCPP or ONNX Runtime are touched.
   *
   * @throws LongAlignException if native libraries cannot be unpacked or do not load here
   */
  public static void apply() {
    synchronized (APPLIED) {
      if (APPLIED.get()) {
        return;
      }
      set("jna.boot.library.path", ProcessSettings::jna);
      Path natives = CacheFolder.root().resolve(NativeFiles.FOLDER);
      set("jna.tmpdir", () -> natives.resolve("jna"));
      set("org.bytedeco.javacpp.maxPhysicalBytes", () -> "0");
      set("org.bytedeco.javacpp.cachedir", () -> javaCpp(natives.resolve("javacpp")));
      try {
        environment("ORT_DISABLE_TELEMETRY", "1", true);
        if (System.getenv("OMP_WAIT_POLICY") == null) {
          environment("GOMP_SPINCOUNT", "2000", false);
        }
      } catch (LinkageError e) {
        throw new LongAlignException(
            "JNA's native library does not load on "
                + System.getProperty("os.name")
                + " "
                + System.getProperty("os.arch")
                + ": "
                + rootCause(e).getMessage()
                + "; native libraries lie in "
                + natives
                + ": if that may not hold programs (noexec), set -Dlongalign.cache to another folder",
            e);
      }
      APPLIED.set(true);
    }
  }

  private static Throwable rootCause(Throwable e) {
    return e.getCause() == null ? e : rootCause(e.getCause());
  }

  /** Sets a property that is not set, unless there is no value for it. */
  public static void set(String property, Supplier<?> value) {
    if (System.getProperty(property) == null) {
      Object found = value.get();
      if (found != null) {
        System.setProperty(property, found.toString());
      }
    }
  }

  /** Whether this is what the jars have native libraries for that we unpack. */
  public static boolean isLinuxX64() {
    return Platform.isLinux() && Platform.isIntel() && Platform.is64Bit();
  }

  private static Path jna() {
    String library = System.mapLibraryName("jnidispatch").replace(".dylib", ".jnilib");
    return NativeFiles.folder(
        "jna", Native.class, List.of("/com/sun/jna/" + Platform.RESOURCE_PREFIX + "/" + library));
  }

  private static Path javaCpp(Path cache) {
    try {
      NativeFiles.deleteDamaged(cache, ProcessSettings.class.getClassLoader());
      return cache;
    } catch (IOException e) {
      throw new LongAlignException(cache + " cannot be read: " + e + "; delete it", e);
    }
  }

  private static void environment(String name, String value, boolean always) {
    Object[] arguments = {name, value, always ? 1 : 0};
    function("setenv").ifPresent(set -> set.invokeInt(arguments));
  }

  /**
   * Gives what the C library keeps of freed memory back to the system, where it can (glibc): its
   * arenas hold hundreds of megabytes after pictures of many sizes.
   */
  public static void returnFreedMemory() {
    libc("malloc_trim").ifPresent(trim -> trim.invokeInt(new Object[] {0L}));
  }

  /** A function of the C library, if it has one of this name. */
  public static Optional<Function> libc(String name) {
    apply();
    return function(name);
  }

  private static Optional<Function> function(String name) {
    try {
      return Optional.of(NativeLibrary.getProcess().getFunction(name));
    } catch (UnsatisfiedLinkError e) {
      return Optional.empty();
    }
  }
}
