package dev.longalign.io;

import java.util.Objects;

/** The program that writes files, as files name it. */
public final class Software {
  /** What every version's name begins with. */
  public static final String LIBRARY = "longalign-java ";

  private Software() {}

  /** {@code longalign-java} and the version in the jar's manifest. */
  public static String name() {
    return LIBRARY
        + Objects.requireNonNullElse(
            Software.class.getPackage().getImplementationVersion(), "development");
  }
}
