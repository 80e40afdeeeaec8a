package dev.longalign.data;

import com.github.luben.zstd.util.ZstdVersion;
import dev.longalign.host.NativeFiles;
import dev.longalign.host.ProcessSettings;
import java.nio.file.Path;
import java.util.List;
import org.xerial.snappy.OSInfo;

/**
 * Native libraries of Parquet's compressions, which unpack themselves to the temporary directory.
 */
final class ParquetNatives {
  private ParquetNatives() {}

  /** To be called before a file is read. */
  static void prepare() {
    if (ProcessSettings.isLinuxX64()) {
      ProcessSettings.set("ZstdNativePath", ParquetNatives::zstd);
      ProcessSettings.set("org.xerial.snappy.lib.path", ParquetNatives::snappy);
    }
  }

  private static Path zstd() {
    String file = "libzstd-jni-" + ZstdVersion.VERSION + ".so";
    Path folder = NativeFiles.folder("zstd", ZstdVersion.class, List.of("/linux/amd64/" + file));
    return folder == null ? null : folder.resolve(file);
  }

  private static Path snappy() {
    String file = "/org/xerial/snappy/native/Linux/x86_64/libsnappyjava.so";
    return NativeFiles.folder("snappy", OSInfo.class, List.of(file));
  }
}
