package dev.longalign.tensor.cpu;

import com.sun.jna.NativeLibrary;
import dev.longalign.LongAlignException;
import java.io.File;
import java.io.IOException;
import org.bytedeco.dnnl.global.dnnl;
import org.bytedeco.javacpp.Loader;

/**
 * How many threads oneDNN uses. It takes them from OpenMP, whose setting belongs to the calling
 * thread, so every thread that computes sets it once.
 */
final class CpuThreads {
  /** What each thread's OpenMP setting is now; backends of different widths may share a thread. */
  private static final ThreadLocal<Integer> APPLIED = new ThreadLocal<>();

  private final int count;
  private final NativeLibrary openMp;

  CpuThreads(int count) {
    this.count = count > 0 ? count : Runtime.getRuntime().availableProcessors();
    this.openMp = NativeLibrary.getInstance(openMpLibrary());
  }

  int count() {
    return count;
  }

  /** Makes this thread's next operations use the wanted number of threads. */
  void apply() {
    Integer applied = APPLIED.get();
    if (applied == null || applied != count) {
      openMp.getFunction("omp_set_num_threads").invokeVoid(new Object[] {count});
      APPLIED.set(count);
    }
  }

  /** The libgomp that JavaCPP has loaded together with oneDNN. */
  private static String openMpLibrary() {
    String oneDnn = Loader.load(dnnl.class);
    File library = new File(new File(oneDnn).getParentFile(), "libgomp.so.1");
    try {
      return library.getCanonicalPath();
    } catch (IOException e) {
      throw new LongAlignException("cannot find " + library + ", which oneDNN was loaded with", e);
    }
  }
}
