package dev.longalign.cli.verify;

import dev.longalign.LongAlignException;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Device;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;

/**
 * Runs the cases of a golden directory.
 *
 * <pre>{@code
 * List<CaseResult> results = new Verifier(Path.of("golden"), Device.cpu(), 0).run(Set.of(), r -> {});
 * }</pre>
 */
public final class Verifier {
  /** The folders that this version knows, in the order in which they are run. */
  private static final List<String> AREAS =
      List.of(
          "io",
          "text",
          "models",
          "encode",
          "schedulers",
          "unet",
          "sample",
          "denscore",
          "align",
          "lcm",
          "reward",
          "image");

  private final Path root;
  private final Device device;
  private final int threads;

  /**
   * @param root a directory laid out as the golden vectors are
   * @param threads 0 for one per core
   * @throws LongAlignException if it is no such directory
   */
  public Verifier(Path root, Device device, int threads) {
    this.root = root;
    this.device = device;
    this.threads = threads;
    if (!Files.isDirectory(root)) {
      throw new LongAlignException(
          root
              + ": expected a directory of golden vectors, found "
              + (Files.exists(root) ? "a file" : "nothing")
              + "; check the path");
    }
    if (areas().isEmpty()) {
      throw new LongAlignException(
          root
              + ": expected a directory of golden vectors, with some of "
              + AREAS
              + ", found "
              + Bench.list(root).stream().map(path -> path.getFileName().toString()).toList());
    }
  }

  /** The folders that are there, known or not, in the order in which they are run. */
  public List<String> areas() {
    Set<String> found = new TreeSet<>();
    for (Path path : Bench.list(root)) {
      if (Files.isDirectory(path) && !path.getFileName().toString().startsWith(".")) {
        found.add(path.getFileName().toString());
      }
    }
    boolean golden = found.stream().anyMatch(name -> AREAS.contains(name));
    if (!golden) {
      return List.of();
    }
    List<String> areas = new ArrayList<>(AREAS);
    areas.retainAll(found);
    found.removeAll(areas);
    areas.addAll(found);
    return areas;
  }

  /**
   * Runs the cases one after another.
   *
   * @param only paths to run: an area, or the beginning of {@code area/file.case}; empty for all
   * @param listener is told each result as soon as it is there
   */
  public List<CaseResult> run(Set<String> only, Consumer<CaseResult> listener) {
    List<CaseResult> results = new ArrayList<>();
    Consumer<CaseResult> both = listener.andThen(results::add);
    try (Backend backend = device.open(threads)) {
      Bench bench = new Bench(root, device, backend, threads);
      for (String area : areas()) {
        if (only.isEmpty() || only.stream().anyMatch(path -> path.split("/")[0].equals(area))) {
          for (Path file : files(area)) {
            run(bench, area, file, only, both);
          }
        }
      }
    }
    return results;
  }

  /** The descriptions in an area; of the models, their directories. */
  private List<Path> files(String area) {
    return Bench.list(root.resolve(area)).stream()
        .filter(
            path ->
                area.equals("models")
                    ? Files.isDirectory(path)
                    : path.getFileName().toString().endsWith(".json"))
        .toList();
  }

  private static void run(
      Bench bench, String area, Path file, Set<String> only, Consumer<CaseResult> listener) {
    try (CaseSource source = source(bench, area, file)) {
      for (VerifyCase one : source.cases()) {
        if (only.isEmpty() || only.stream().anyMatch(path -> matches(path, one.path()))) {
          listener.accept(one.run());
        }
      }
    } catch (Exception e) {
      VerifyCase broken =
          new VerifyCase(
              area,
              file.getFileName().toString(),
              c -> {
                throw e;
              });
      listener.accept(broken.run());
    }
  }

  /** {@code unet} and {@code unet/lora} both mean {@code unet/lora.merged_1}. */
  private static boolean matches(String only, String path) {
    String start = only.endsWith("/") ? only.substring(0, only.length() - 1) : only;
    return path.equals(start)
        || path.startsWith(start) && "/.".indexOf(path.charAt(start.length())) >= 0;
  }

  private static CaseSource source(Bench bench, String area, Path file) {
    if (area.equals("models")) {
      return new ModelCases(bench, file);
    }
    String stem = file.getFileName().toString().replaceAll("\\.json$", "");
    Vectors vectors = Vectors.open(file);
    // Files of one kind may be several: forward.json, forward_other.json.
    String kind = area + "/" + stem.split("_(?!ids)")[0];
    return switch (kind) {
      case "io/io" -> new IoCases(vectors);
      case "text/segments", "text/clip_ids", "text/t5_ids" -> new TextCases(bench, vectors);
      case "encode/encode" -> new EncodeCases(bench, vectors);
      case "schedulers/schedulers" -> new SchedulerCases(bench, vectors);
      case "schedulers/noising" -> new NoisingCases(bench, vectors);
      case "unet/forward" -> new UNetCases(bench, vectors);
      case "unet/activations" -> new ActivationCases(bench, vectors);
      case "unet/lora" -> new LoraCases(bench, vectors);
      case "unet/vae" -> new VaeCases(bench, vectors);
      case "sample/pictures" -> new PictureCases(bench, vectors);
      case "denscore/denscore" -> new DenscoreCases(bench, vectors);
      case "denscore/training" -> new DenscoreTrainingCases(bench, vectors);
      case "align/trajectory" -> new TrajectoryCases(bench, vectors);
      case "image/image" -> new ImageCases(vectors);
      default -> byArea(bench, area, vectors);
    };
  }

  /** Where every file of a folder is of one kind. */
  private static CaseSource byArea(Bench bench, String area, Vectors vectors) {
    boolean step = vectors.hasValue("loss") || vectors.hasValue("losses");
    if (area.equals("sample")) {
      return new SampleCases(bench, vectors);
    } else if (step && area.equals("align")) {
      return new TrainingCases(area, bench, vectors, new AlignStage(vectors));
    } else if (step && area.equals("lcm")) {
      return new TrainingCases(area, bench, vectors, new LcmStage(vectors));
    } else if (step && area.equals("reward")) {
      return new TrainingCases(area, bench, vectors, new RewardStage(vectors));
    }
    return () -> List.of(VerifyCase.skipped(area, vectors.name(), "unknown case"));
  }
}
