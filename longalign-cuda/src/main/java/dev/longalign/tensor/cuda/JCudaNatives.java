package dev.longalign.tensor.cuda;

import dev.longalign.host.NativeFiles;
import dev.longalign.host.ProcessSettings;
import java.nio.file.Path;
import java.util.List;
import jcuda.JCudaVersion;
import jcuda.LibUtils;

/**
 * JCuda's own native libraries. It unpacks each to {@code java.io.tmpdir}, under a name that
 * everybody knows, and loads what lies there already without a look: whoever was first on the
 * machine may have put it there. So they are unpacked to our cache, which that property names while
 * a class of JCuda starts.
 */
final class JCudaNatives {
  private static final String FOLDER = "java.io.tmpdir";

  private JCudaNatives() {}

  /**
   * Starts one of JCuda's classes.
   *
   * @param binding its name; its library has the last part of it
   * @throws LinkageError if the library, or what it needs, does not load
   */
  static synchronized void load(String binding) {
    ProcessSettings.apply();
    String library = binding.substring(binding.lastIndexOf('.') + 1) + "-" + JCudaVersion.get();
    String file = LibUtils.createLibraryFileName(LibUtils.createPlatformLibraryName(library));
    Path folder = NativeFiles.folder("jcuda", JCudaNatives.class, List.of("/lib/" + file));
    String temporary = System.getProperty(FOLDER);
    try {
      if (folder != null) {
        System.setProperty(FOLDER, folder.toString());
      }
      Class.forName(binding, true, JCudaNatives.class.getClassLoader());
    } catch (ClassNotFoundException e) {
      throw new NoClassDefFoundError(e.getMessage());
    } finally {
      System.setProperty(FOLDER, temporary);
    }
  }
}
