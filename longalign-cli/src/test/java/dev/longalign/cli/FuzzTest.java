package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.EmbeddedModel;
import dev.longalign.LongAlignException;
import dev.longalign.data.CaptionPolicy;
import dev.longalign.data.Dataset;
import dev.longalign.data.FeatureCache;
import dev.longalign.data.FeatureCacheWriter;
import dev.longalign.data.FeatureExample;
import dev.longalign.data.FeatureKey;
import dev.longalign.data.ParquetColumns;
import dev.longalign.data.ParquetDataset;
import dev.longalign.data.WebDataset;
import dev.longalign.fuzz.Fuzzer;
import dev.longalign.fuzz.Fuzzer.Kind;
import dev.longalign.io.Config;
import dev.longalign.io.ModelDirectory;
import dev.longalign.io.PictureFile;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.io.TensorFiles;
import dev.longalign.model.AutoencoderKLConfig;
import dev.longalign.model.ClipConfig;
import dev.longalign.model.TextAdapterConfig;
import dev.longalign.model.UNet2DConditionConfig;
import dev.longalign.onnx.tokenizer.ClipTokenizers;
import dev.longalign.onnx.tokenizer.T5Tokenizers;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.text.Tokenizer;
import dev.longalign.training.DenscoreRunConfig;
import dev.longalign.training.RunConfig;
import dev.longalign.training.Stage;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveOutputStream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * No file that a user can be handed ends the process, hangs it or surfaces a raw exception. More
 * than these thousand of a kind: {@code ./mvnw -pl longalign-cli -am test -Dtest=FuzzTest
 * -Dsurefire.failIfNoSpecifiedTests=false -Dlongalign.fuzz.inputs=100000 -Dlongalign.fuzz.seed=2}.
 */
class FuzzTest {
  private static final Path GOLDEN = Path.of("../longalign-api/src/test/golden");
  private static final Path PICTURES =
      Path.of("../longalign-api/src/test/resources/dev/longalign/data");
  private static final int INPUTS = Integer.getInteger("longalign.fuzz.inputs", 1000);
  private static final long SEED = Long.getLong("longalign.fuzz.seed", 1);
  private static final long MILLISECONDS = INPUTS * 20L; // a slow machine tries fewer
  private static final String TEXT = "A red circle, \u6771\u4eac caf\u00e9. " + "a".repeat(60);

  @TempDir Path folder;

  @TestFactory
  Stream<DynamicTest> everyKindOfFile() throws Exception {
    String only = System.getProperty("longalign.fuzz.kind", "");
    return kinds().stream()
        .filter(kind -> only.isEmpty() || only.equals(kind.name()))
        .map(kind -> DynamicTest.dynamicTest(kind.name(), () -> fuzz(kind)));
  }

  private void fuzz(Kind kind) throws Exception {
    Fuzzer fuzzer = new Fuzzer(folder.resolve(kind.name()), Path.of("target/fuzz"));
    Fuzzer.Report report = fuzzer.run(kind, SEED, INPUTS, MILLISECONDS);
    System.out.println(report);
    assertThat(report.faults()).isEmpty();
    assertThat(report.inputs()).isPositive();
  }

  private List<Kind> kinds() throws Exception {
    Path model = EmbeddedModel.directory();
    List<Kind> kinds = new ArrayList<>();
    kinds.add(
        new Kind(
            "safetensors", Path.of("x.safetensors"), golden(".safetensors"), FuzzTest::weights));
    kinds.add(new Kind("torch", Path.of("x.pt"), golden(".pt"), FuzzTest::weights));
    kinds.add(index());
    for (Stage stage : Stage.values()) {
      kinds.add(
          new Kind(
              "yaml-" + stage.key(),
              Path.of("run.yaml"),
              List.of(Files.readAllBytes(runConfig(stage))),
              file -> RunConfig.read(file, stage)));
    }
    kinds.add(
        new Kind(
            "yaml-denscore",
            Path.of("run.yaml"),
            List.of(
                "output: run\nsteps: 10\nbatchSize: 4\ninit: new\ntextWidth: 32\nomega: 0.5\n"
                    .getBytes(StandardCharsets.UTF_8)),
            DenscoreRunConfig::read));
    kinds.add(cacheManifest());
    kinds.add(json("unet", model, c -> UNet2DConditionConfig.of(c)));
    kinds.add(json("vae", model, c -> AutoencoderKLConfig.of(c)));
    kinds.add(json("denscore", model, c -> ClipConfig.of(c)));
    kinds.add(json("adapter", model, c -> TextAdapterConfig.of(c)));
    kinds.add(
        new Kind(
            "scheduler",
            Path.of("scheduler_config.json"),
            List.of(Files.readAllBytes(model.resolve("scheduler/scheduler_config.json"))),
            file -> SchedulerConfig.read(file, Scheduler.UNIPC)));
    kinds.add(
        new Kind(
            "model-index",
            Path.of("model_index.json"),
            List.of(Files.readAllBytes(model.resolve("model_index.json"))),
            file -> {
              for (String part : List.of("unet", "vae", "text_encoder", "tokenizer", "scheduler")) {
                Files.createDirectories(file.resolveSibling(part));
              }
              ModelDirectory.open(file.getParent()).describe();
            }));
    kinds.add(
        tokenizer(
            "clip-vocab", model.resolve("tokenizer"), "vocab.json", ClipTokenizers::openSlow));
    kinds.add(
        tokenizer(
            "clip-merges", model.resolve("tokenizer"), "merges.txt", ClipTokenizers::openFast));
    kinds.add(tokenizer("t5-json", model.resolve("t5"), "tokenizer.json", T5Tokenizers::open));
    kinds.add(tokenizer("t5-spiece", model.resolve("t5"), "spiece.model", T5Tokenizers::open));
    kinds.add(pictures("png", ".png"));
    kinds.add(pictures("jpeg", ".jpg"));
    kinds.add(pictures("webp", ".webp"));
    for (String format : List.of("gif", "bmp", "tiff")) {
      kinds.add(
          new Kind(format, Path.of("x." + format), List.of(encoded(format)), FuzzTest::picture));
    }
    kinds.add(settings());
    kinds.add(
        new Kind(
            "tar", Path.of("x.tar"), List.of(tar()), f -> examples(WebDataset.open(List.of(f)))));
    kinds.add(
        new Kind(
            "parquet",
            Path.of("x.parquet"),
            files(PICTURES, path -> path.endsWith("embedded.parquet")),
            f ->
                examples(
                    ParquetDataset.open(
                        f,
                        f.getParent(),
                        new ParquetColumns("text", "image"),
                        CaptionPolicy.DEFAULT))));
    return kinds;
  }

  // ---- readers

  private static void weights(Path file) {
    try (TensorFile weights = TensorFiles.open(file)) {
      for (StoredTensor tensor : weights.tensors()) {
        tensor.data();
      }
    }
  }

  private static void picture(Path file) {
    PictureFile.info(file);
    PictureFile.texts(file);
    PictureFile.readRgb(file);
  }

  /** Reads the first two, which are whole in all seeds. */
  private static void examples(Dataset<?> dataset) {
    try (dataset) {
      long size = dataset.size().orElseThrow();
      for (long i = 0; i < Math.min(size, 2); i++) {
        dataset.example(i);
      }
    }
  }

  /** As a user meets settings: {@code inspect}, which reads every field. */
  private static void inspect(Path png) {
    StringWriter err = new StringWriter();
    int code =
        Main.commandLine(new PrintWriter(new StringWriter()), new PrintWriter(err))
            .execute("inspect", png.toString());
    if (code != 0 && err.toString().contains("not an error that LongAlign knows")) {
      throw new IllegalStateException(err.toString());
    }
  }

  // ---- kinds

  private Kind index() {
    JsonObject map = new JsonObject();
    map.addProperty("a", "part-1.safetensors");
    JsonObject index = new JsonObject();
    index.add("metadata", new JsonObject());
    index.add("weight_map", map);
    byte[] part;
    try {
      part = Files.readAllBytes(GOLDEN.resolve("io/all_dtypes.safetensors"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return new Kind(
        "shard-index",
        Path.of("x.safetensors.index.json"),
        List.of(index.toString().getBytes(StandardCharsets.UTF_8)),
        file -> {
          Files.write(file.resolveSibling("part-1.safetensors"), part);
          try (TensorFile weights = TensorFiles.open(file)) {
            weights.names();
          } catch (LongAlignException refused) {
            // The seed names no tensor of the part: only the kind of the answer counts.
          }
        });
  }

  private Kind cacheManifest() throws IOException {
    Path cache = folder.resolve("cache-manifest");
    try (FeatureCacheWriter writer =
        FeatureCache.write(cache, FeatureKey.of(Map.of("vae", "x")), 1)) {
      StoredTensor latents = StoredTensor.ofFloats("x", DType.F32, Shape.of(2), new float[2]);
      writer.add(0, new FeatureExample("a", "A red circle.", Map.of("latents", latents)));
      writer.skip(1, "b.png: damaged");
      writer.add(2, new FeatureExample("c", "A blue one.", Map.of("latents", latents)));
      writer.finish(3);
    }
    return new Kind(
        "cache-manifest",
        Path.of("manifest.json"),
        List.of(Files.readAllBytes(cache.resolve("manifest.json"))),
        file -> {
          FeatureKey key = FeatureCache.key(cache);
          if (FeatureCache.isComplete(cache)) {
            examples(FeatureCache.open(cache, key));
          } else {
            FeatureCache.write(cache, key).close();
          }
        });
  }

  private interface JsonReader {
    void read(Config config);
  }

  private static Kind json(String component, Path model, JsonReader reader) throws IOException {
    return new Kind(
        component,
        Path.of("config.json"),
        List.of(Files.readAllBytes(model.resolve(component).resolve("config.json"))),
        file -> reader.read(Config.read(file)));
  }

  private interface TokenizerReader {
    Tokenizer open(Path directory);
  }

  private Kind tokenizer(String name, Path directory, String file, TokenizerReader reader)
      throws IOException {
    Path copy = Files.createDirectories(folder.resolve(name));
    try (Stream<Path> all = Files.list(directory)) {
      for (Path other : all.filter(Files::isRegularFile).toList()) {
        boolean instead = file.equals("spiece.model") && other.endsWith("tokenizer.json");
        if (!instead && Files.size(other) < 1 << 22 && !other.toString().endsWith(".safetensors")) {
          Files.copy(other, copy.resolve(other.getFileName()));
        }
      }
    }
    return new Kind(
        name,
        Path.of(file),
        List.of(Files.readAllBytes(directory.resolve(file))),
        input -> {
          try (Tokenizer tokenizer = reader.open(input.getParent())) {
            tokenizer.encode(TEXT);
          }
        });
  }

  private static Kind pictures(String name, String suffix) throws IOException {
    return new Kind(
        name,
        Path.of("x" + suffix),
        files(PICTURES, p -> p.toString().endsWith(suffix)),
        FuzzTest::picture);
  }

  private static Kind settings() {
    List<byte[]> seeds = new ArrayList<>();
    BufferedImage dot = new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB);
    String parameters =
        "A red circle. <lora:x:0.8>\nNegative prompt: blue\nSteps: 25, Sampler: DPM++ 2M Karras, CFG scale:"
            + " 7.5, Seed: 42, Size: 96x96, Model hash: abcdef, Denoising strength: 0.5, Clip skip: 2";
    seeds.add(PictureFile.png(dot, Map.of("parameters", parameters)));
    JsonObject own =
        JsonParser.parseString(
                """
        {"software": "longalign", "model": "m", "loras": ["a.pt:1.0"], "prompt": "A red circle.",
         "seed": 1, "seeds": [1, 2], "steps": 4, "scheduler": "unipc", "guidanceScale": 3, "width": 96,
         "height": 96, "request": {"prompt": "x", "steps": 3}}""")
            .getAsJsonObject();
    seeds.add(PictureFile.png(dot, Map.of("longalign", own.toString(), "parameters", parameters)));
    return new Kind("settings", Path.of("x.png"), seeds, FuzzTest::inspect);
  }

  // ---- seeds

  /** What the reference wrote and readers take, small enough to try thousands of times. */
  private static List<byte[]> golden(String suffix) throws IOException {
    return files(
        GOLDEN.resolve("io"),
        path ->
            path.toString().endsWith(suffix)
                && !path.getFileName().toString().startsWith("bad_")
                && path.toFile().length() < 50_000);
  }

  private static List<byte[]> files(Path folder, Predicate<Path> wanted) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      List<byte[]> seeds = new ArrayList<>();
      for (Path file : files.filter(wanted).sorted().toList()) {
        seeds.add(Files.readAllBytes(file));
      }
      assertThat(seeds).as("seeds in " + folder).isNotEmpty();
      return seeds;
    }
  }

  private Path runConfig(Stage stage) throws IOException {
    return Files.writeString(
        folder.resolve(stage.key() + ".yaml"),
        """
        # %s
        output: run
        steps: 10
        batchSize: 2
        rank: 4
        learningRate: 1e-3
        maxMemoryGiB: 2.5
        validateEvery: 5
        validationPrompts: ["A red circle.", 'two']
        formats: [longalign, kohya]
        """
            .formatted(stage.key()));
  }

  private static byte[] encoded(String format) throws IOException {
    BufferedImage picture = new BufferedImage(16, 12, BufferedImage.TYPE_INT_RGB);
    picture.setRGB(3, 4, 0xff8040);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    assertThat(ImageIO.write(picture, format, out)).as(format).isTrue();
    return out.toByteArray();
  }

  private static byte[] tar() throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (TarArchiveOutputStream tar = new TarArchiveOutputStream(out)) {
      for (String name : List.of("a", "b", "c.d")) {
        member(tar, name + ".png", encoded("png"));
        member(tar, name + ".txt", "A caption.".getBytes(StandardCharsets.UTF_8));
        member(
            tar, name + ".json", "{\"caption\": \"A caption.\"}".getBytes(StandardCharsets.UTF_8));
      }
    }
    return out.toByteArray();
  }

  private static void member(TarArchiveOutputStream tar, String name, byte[] content)
      throws IOException {
    TarArchiveEntry entry = new TarArchiveEntry(name);
    entry.setSize(content.length);
    tar.putArchiveEntry(entry);
    tar.write(content);
    tar.closeArchiveEntry();
  }
}
