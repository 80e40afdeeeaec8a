package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.longalign.LongAlignException;
import dev.longalign.data.CaptionPolicy;
import dev.longalign.data.DataLoader;
import dev.longalign.data.Dataset;
import dev.longalign.data.FeatureCache;
import dev.longalign.data.FeatureExample;
import dev.longalign.data.Fixtures;
import dev.longalign.data.PicturePreprocessing;
import dev.longalign.data.Skip;
import dev.longalign.data.TrainingExample;
import dev.longalign.nn.RandomDropout;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.cpu.CpuBackend;
import dev.longalign.text.EncoderProvider;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Caches of the tiny model: trained from, interrupted, damaged, and of data that is broken. */
class FeatureCachingTest {
  private static final CacheSettings SETTINGS = CacheSettings.DEFAULT.withResolution(32);
  private static final FeatureCaching.Listener SILENT = new FeatureCaching.Listener() {};

  private static Backend backend;
  private static ModelFiles files;
  private static PictureEncoder encoder;

  @TempDir Path folder;

  @BeforeAll
  static void open() {
    backend = new CpuBackend(1);
    files = ModelFiles.find(TinyTraining.folder(), null, null, List.of(), false);
    encoder = new PictureEncoder(EncoderProvider.find(), files, backend, 1);
  }

  @AfterAll
  static void close() {
    encoder.close();
    assertThat(backend.memory().live()).as("bytes that no scope freed").isZero();
    backend.close();
  }

  private TrainingData data(String source) {
    return TrainingData.parse(source, folder);
  }

  private FeatureCaching caching(String source, CacheSettings settings) {
    return new FeatureCaching(data(source), files, settings, folder.resolve("cache"));
  }

  private CachedFeatures cached(ModelFiles model) {
    return CachedFeatures.open(folder.resolve("cache"), model, backend);
  }

  // ---- training

  private <E> List<Double> losses(TinyTraining tiny, ExampleEncoder<E> from, Dataset<E> data) {
    List<Double> losses = new ArrayList<>();
    AlignObjective<E> objective =
        new AlignObjective<>(
            tiny.unet,
            tiny.adapter::forward,
            tiny.schedule,
            from,
            new AlignObjective.Settings(0.3, 0));
    Path run = folder.resolve("run-" + data.source().hashCode());
    try (Trainer<E> trainer =
        new Trainer<>(
            tiny.model,
            objective,
            TrainerSettings.DEFAULT.withLearningRate(1e-3, 0).withSeed(7),
            run,
            position -> DataLoader.builder(data).batchSize(2).seed(3).threads(1).build())) {
      trainer.listen(
          new TrainingListener() {
            @Override
            public void onStep(StepReport step) {
              losses.add(step.loss());
            }
          });
      trainer.trainTo(2);
    }
    return losses;
  }

  private List<Double> fromCache() {
    try (TinyTraining tiny = TinyTraining.align(new RandomDropout(0.1f, 5));
        CachedFeatures cached =
            CachedFeatures.open(folder.resolve("cache"), files, tiny.autograd)) {
      return losses(tiny, cached.encoder(), cached.examples());
    }
  }

  /** With the same draws of noise, latents and dropped captions. */
  @Test
  void trainsAsIfItEncodedOnTheFly() {
    List<Double> expected;
    try (TinyTraining tiny = TinyTraining.align(new RandomDropout(0.1f, 5));
        PictureEncoder direct =
            new PictureEncoder(EncoderProvider.find(), files, tiny.autograd, 1);
        Dataset<TrainingExample> pictures =
            data("panels:short:3").open().map(new PicturePreprocessing(32))) {
      expected = losses(tiny, direct, pictures);
    }
    assertThat(caching("panels:short:3", SETTINGS).run(encoder, SILENT).computed()).isEqualTo(3);
    List<Double> found = fromCache();
    assertThat(found).hasSize(2);
    for (int i = 0; i < 2; i++) {
      assertThat(found.get(i)).isCloseTo(expected.get(i), within(1e-6 * expected.get(i)));
    }
  }

  @Test
  void halfPrecisionTakesHalfTheSpaceAndTrainsAlmostTheSame() throws IOException {
    caching("panels:short:3", SETTINGS).run(encoder, SILENT);
    List<Double> expected = fromCache();
    long full = Files.size(folder.resolve("cache/features-00000.safetensors"));
    delete(folder.resolve("cache"));
    delete(folder.resolve("run-" + folder.resolve("cache").toString().hashCode()));
    caching("panels:short:3", SETTINGS.withStorage(DType.F16)).run(encoder, SILENT);
    assertThat(Files.size(folder.resolve("cache/features-00000.safetensors")))
        .isBetween(full / 2, full * 11 / 20);
    List<Double> found = fromCache();
    for (int i = 0; i < 2; i++) {
      assertThat(found.get(i)).isCloseTo(expected.get(i), within(2e-3 * expected.get(i)));
    }
  }

  private static void delete(Path directory) throws IOException {
    try (Stream<Path> all = Files.walk(directory)) {
      for (Path path : all.sorted((a, b) -> b.compareTo(a)).toList()) {
        Files.delete(path);
      }
    }
  }

  // ---- interrupted, finished, damaged, another

  @Test
  void anInterruptedCacheGoesOnAndEndsTheSame() {
    FeatureCaching caching = caching("panels:short:5", SETTINGS);
    FeatureCaching.Report first =
        caching.run(
            encoder,
            new FeatureCaching.Listener() {
              @Override
              public void onProgress(long done, long total) {
                if (done == 2) {
                  Thread.currentThread().interrupt();
                }
              }
            });
    assertThat(Thread.interrupted()).isTrue();
    assertThat(first.complete()).isFalse();
    assertThat(first.computed()).isEqualTo(2);
    assertThatThrownBy(() -> cached(files))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("is unfinished: it has 2 examples");
    FeatureCaching.Report rest = caching.run(encoder, SILENT);
    assertThat(rest.complete()).isTrue();
    assertThat(rest.computed()).isEqualTo(3);
    assertThat(rest.examples().loaded()).isEqualTo(5);
    assertThat(caching.run(encoder, SILENT).computed()).as("only checked").isZero();

    Path whole = folder.resolve("whole");
    new FeatureCaching(data("panels:short:5"), files, SETTINGS, whole).run(encoder, SILENT);
    try (CachedFeatures parts = cached(files);
        CachedFeatures once = CachedFeatures.open(whole, files, backend)) {
      for (int i = 0; i < 5; i++) {
        FeatureExample expected = once.examples().example(i);
        FeatureExample found = parts.examples().example(i);
        assertThat(found.id()).isEqualTo(expected.id());
        assertThat(found.caption()).isEqualTo(expected.caption());
        assertThat(found.tensors().keySet()).containsExactly("clip", "moments", "t5");
        for (String name : found.tensors().keySet()) {
          assertThat(found.tensor(name).toFloats()).isEqualTo(expected.tensor(name).toFloats());
        }
      }
    }
  }

  @Test
  void damageAndOtherModelsAreRefused() throws IOException {
    FeatureCaching caching = caching("panels:short:2", SETTINGS);
    caching.run(encoder, SILENT);
    Path other = folder.resolve("other");
    copy(TinyTraining.folder(), other);
    Path vae = other.resolve("vae/diffusion_pytorch_model.safetensors");
    flip(vae);
    ModelFiles changed = ModelFiles.find(other, null, null, List.of(), false);
    assertThatThrownBy(() -> cached(changed))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("was computed from something else: vae: expected");
    assertThatThrownBy(
            () ->
                new FeatureCaching(data("panels:short:3"), files, SETTINGS, folder.resolve("cache"))
                    .run(encoder, SILENT))
        .hasMessageContaining("data: expected panels (short, seed 0, 3 examples), found panels");

    Path shard = folder.resolve("cache/features-00000.safetensors");
    flip(shard);
    assertThatThrownBy(() -> caching.run(encoder, SILENT))
        .hasMessageContaining("its content has changed since it was written");
    byte[] bytes = Files.readAllBytes(shard);
    Files.write(shard, Arrays.copyOf(bytes, bytes.length - 9));
    assertThatThrownBy(() -> cached(files))
        .hasMessageContaining("expected " + bytes.length + " bytes, found " + (bytes.length - 9));
    Files.delete(folder.resolve("cache/shared.safetensors"));
    assertThatThrownBy(() -> cached(files)).hasMessageContaining("is damaged");
    assertThatThrownBy(() -> CachedFeatures.open(folder, files, backend))
        .hasMessageContaining("not a feature cache");
    assertThatThrownBy(() -> caching("panels:short", SETTINGS).run(encoder, SILENT))
        .isInstanceOf(LongAlignException.class);
  }

  private static void flip(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    bytes[bytes.length - 3] ^= 1;
    Files.write(file, bytes);
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> all = Files.walk(from)) {
      all.forEach(
          path -> {
            try {
              Files.copy(path, to.resolve(from.relativize(path).toString()));
            } catch (IOException e) {
              throw new UncheckedIOException(e);
            }
          });
    }
  }

  @Test
  void dataWithoutEndIsRefused() {
    assertThatThrownBy(() -> caching("panels:short", SETTINGS).run(encoder, SILENT))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("found panels:short; say how many, for example panels:short:5000");
  }

  // ---- broken data

  /** Everything at once that real collections have. */
  private void brokenFolder() {
    Path pictures = folder.resolve("pictures");
    byte[] jpeg = Fixtures.bytes("baseline.jpg");
    Fixtures.png(pictures.resolve("00-good.png"), 0xff0000);
    Fixtures.write(pictures.resolve("00-good.txt"), "A red picture. It is very red.");
    Fixtures.write(pictures.resolve("01-cut.jpg"), Arrays.copyOf(jpeg, jpeg.length / 2));
    Fixtures.write(pictures.resolve("01-cut.txt"), "Half of a picture.");
    Fixtures.write(pictures.resolve("02-page.png"), "<html>not found</html>");
    Fixtures.write(pictures.resolve("02-page.txt"), "A page instead.");
    Fixtures.write(pictures.resolve("03-empty.jpg"), "");
    Fixtures.write(pictures.resolve("03-empty.txt"), "Nothing.");
    Fixtures.write(pictures.resolve("04-alone.jpg"), jpeg);
    Fixtures.write(pictures.resolve("05-silent.jpg"), jpeg);
    Fixtures.write(pictures.resolve("05-silent.txt"), " \n");
    Fixtures.write(pictures.resolve("06-latin.jpg"), jpeg);
    Fixtures.write(pictures.resolve("06-latin.txt"), new byte[] {(byte) 0xe9, (byte) 0xff});
    Fixtures.write(pictures.resolve("07-endless.jpg"), jpeg);
    Fixtures.write(pictures.resolve("07-endless.txt"), "word ".repeat(9_999) + "last.");
    Fixtures.png(pictures.resolve("08-good.png"), 0x00ff00);
    Fixtures.write(pictures.resolve("08-good.json"), "{\"caption\": \"Green.\"}");
  }

  @Test
  void brokenDataIsNamedCountedAndLeftOut() {
    brokenFolder();
    List<Skip> heard = new ArrayList<>();
    FeatureCaching.Listener listener =
        new FeatureCaching.Listener() {
          @Override
          public void onSkip(Skip skip) {
            heard.add(skip);
          }
        };
    CacheSettings batches = SETTINGS.withBatchSize(2);
    FeatureCaching.Report report = caching("pictures", batches).run(encoder, listener);
    assertThat(report.complete()).isTrue();
    assertThat(report.computed()).isEqualTo(3);
    assertThat(report.shortened()).as("the caption of 10 000 words").isEqualTo(1);
    assertThat(report.examples().skipped()).isEqualTo(6);
    assertThat(heard).extracting(Skip::index).containsExactly(1L, 2L, 3L, 4L, 5L, 6L);
    String[] names = {"01-cut", "02-page", "03-empty", "04-alone", "05-silent", "06-latin"};
    for (int i = 0; i < names.length; i++) {
      assertThat(report.examples().named().get(i).reason()).contains(names[i]);
    }
    assertThat(report.examples().named().get(3).reason()).contains("no caption; expected");
    assertThat(report.examples().named().get(4).reason()).contains("the caption is empty");
    try (CachedFeatures cached = cached(files)) {
      FeatureCache cache = cached.examples();
      assertThat(cache.size()).hasValue(3);
      assertThat(cache.example(1).caption().split(" ")).hasSize(2000);
      assertThat(cache.example(2).caption()).isEqualTo("Green.");
      assertThat(cache.report().named()).hasSize(6);
      try (DataLoader<FeatureExample> loader = DataLoader.builder(cache).batchSize(3).build()) {
        assertThat(loader.next().examples()).hasSize(3);
      }
    }
  }

  /** The same pictures by the loader that training uses; one more where empty captions may stay. */
  @Test
  void trainingSkipsTheSame() {
    brokenFolder();
    TrainingData.Options keep =
        TrainingData.Options.DEFAULT.withCaptions(new CaptionPolicy(true, 2000));
    for (boolean keepEmpty : new boolean[] {false, true}) {
      TrainingData source =
          keepEmpty ? TrainingData.parse("pictures", folder, keep) : data("pictures");
      try (Dataset<TrainingExample> data = source.open().map(new PicturePreprocessing(32));
          DataLoader<TrainingExample> loader =
              DataLoader.builder(data).batchSize(2).dropLast(false).epochs(1).build()) {
        int examples = 0;
        while (loader.hasNext()) {
          examples += loader.next().size();
        }
        assertThat(examples).isEqualTo(keepEmpty ? 4 : 3);
        assertThat(loader.skipped().skipped()).isEqualTo(keepEmpty ? 5 : 6);
      }
    }
  }

  @Test
  void dataOfWhichNothingCanBeUsedIsSaid() {
    Fixtures.write(folder.resolve("none/a.png"), "no picture");
    Fixtures.write(folder.resolve("none/a.txt"), "A caption.");
    assertThatThrownBy(() -> caching("none", SETTINGS).run(encoder, SILENT))
        .isInstanceOf(LongAlignException.class)
        .hasMessageContaining("a.png");
  }
}
