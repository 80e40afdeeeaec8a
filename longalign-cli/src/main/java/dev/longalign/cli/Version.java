package dev.longalign.cli;

import java.util.Objects;
import picocli.CommandLine.IVersionProvider;

/** {@code longalign --version}: the version of the jar and what it runs on. */
final class Version implements IVersionProvider {

  /** The version in the jar's manifest; {@code development} when run from class directories. */
  static String ofProject() {
    return Objects.requireNonNullElse(
        Version.class.getPackage().getImplementationVersion(), "development");
  }

  @Override
  public String[] getVersion() {
    return new String[] {
      "longalign " + ofProject(),
      "JDK ${java.version} (${java.vendor}), ${os.name} ${os.version} ${os.arch}"
    };
  }
}
