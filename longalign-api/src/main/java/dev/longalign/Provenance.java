package dev.longalign;

import dev.longalign.io.Software;
import java.util.List;
import java.util.Optional;

/**
 * What made a picture; travels inside its PNG. File names only, no paths: pictures are published.
 *
 * @param model the model directory's name
 * @param adapter the adapter's file or directory name, if there is one
 * @param loras file names in the order of merging, each followed by {@code :scale}
 * @param device as {@code Device.toString()} says, {@code cpu}
 * @param precision {@code f32} or {@code bf16}
 * @param software name and version of this library
 */
public record Provenance(
    String model,
    Optional<String> adapter,
    List<String> loras,
    String device,
    String precision,
    String software) {

  public Provenance {
    loras = List.copyOf(loras);
  }

  /** {@code longalign-java} and the version in the jar's manifest. */
  public static String thisSoftware() {
    return Software.name();
  }
}
