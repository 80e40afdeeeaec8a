package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.data.DataLoader;
import dev.longalign.data.Dataset;
import dev.longalign.data.FeatureExample;
import dev.longalign.io.LockFile;
import dev.longalign.io.StoredTensor;
import dev.longalign.nn.RandomDropout;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Random;
import java.util.TreeMap;

/**
 * A run of stage 1 of the golden vectors' tiny model on eight examples of noise.
 *
 * @param poisoned number of an example that is not finite; -1: none
 * @param unusable number of an example that cannot be read; -1: none
 */
record TinyRun(TrainerSettings settings, int loaderThreads, long poisoned, long unusable) {
  static final TrainerSettings SETTINGS =
      TrainerSettings.DEFAULT
          .withLearningRate(1e-3, 2)
          .withAccumulation(2)
          .withSeed(7)
          .withCheckpoints(2, 2);

  TinyRun(TrainerSettings settings, int loaderThreads, long poisoned) {
    this(settings, loaderThreads, poisoned, -1);
  }

  TinyRun() {
    this(SETTINGS);
  }

  TinyRun(TrainerSettings settings) {
    this(settings, 2, -1);
  }

  TinyRun withUnusable(long index) {
    return new TinyRun(settings, loaderThreads, poisoned, index);
  }

  static TinyTraining tiny() {
    return TinyTraining.align(new RandomDropout(0.1f, 5));
  }

  Trainer<FeatureExample> trainer(TinyTraining tiny, Path run) {
    return trainer(tiny, run, Map.of(), Checkpoints.lock(run));
  }

  Trainer<FeatureExample> trainer(
      TinyTraining tiny, Path run, Map<String, String> identity, LockFile lock) {
    AlignObjective<FeatureExample> objective =
        new AlignObjective<>(
            tiny.unet,
            tiny.adapter::forward,
            tiny.schedule,
            new FeatureEncoder(tiny.autograd, features(99, false)),
            new AlignObjective.Settings(0.3, 0));
    return new Trainer<>(
        tiny.model,
        objective,
        settings,
        run,
        from -> {
          DataLoader.Builder<FeatureExample> loader =
              DataLoader.builder(data()).batchSize(1).seed(3).threads(loaderThreads);
          from.ifPresent(loader::position);
          return loader.build();
        },
        identity,
        lock);
  }

  /** One of them can be poisoned. */
  private Dataset<FeatureExample> data() {
    return new Dataset<>() {
      @Override
      public OptionalLong size() {
        return OptionalLong.of(8);
      }

      @Override
      public FeatureExample example(long index) {
        if (index == unusable) {
          throw new LongAlignException("example " + index + " is unusable");
        }
        FeatureExample example = features(index, true);
        if (index != poisoned) {
          return example;
        }
        Map<String, StoredTensor> tensors = new TreeMap<>(example.tensors());
        tensors.put("latents", stored("latents", new float[] {Float.NaN}, 4, 4, 4));
        return new FeatureExample(example.id(), example.caption(), tensors);
      }

      @Override
      public String source() {
        return "noise";
      }
    };
  }

  static FeatureExample features(long seed, boolean latents) {
    Random random = new Random(seed);
    Map<String, StoredTensor> tensors = new TreeMap<>();
    tensors.put("clip", stored("clip", gaussian(random, 24 * 64), 24, 64));
    tensors.put("t5", stored("t5", gaussian(random, 24 * 48), 24, 48));
    if (latents) {
      tensors.put("latents", stored("latents", gaussian(random, 64), 4, 4, 4));
    }
    return new FeatureExample("example " + seed, "caption " + seed, tensors);
  }

  private static float[] gaussian(Random random, int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static StoredTensor stored(String name, float[] values, long... dims) {
    Shape shape = Shape.of(dims);
    float[] all = Arrays.copyOf(values, Math.toIntExact(shape.size()));
    return StoredTensor.ofFloats(name, DType.F32, shape, all);
  }

  static Map<String, float[]> values(TinyTraining tiny) {
    Map<String, float[]> values = new TreeMap<>();
    tiny.parameters().forEach((name, p) -> values.put(name, p.value().toFloats()));
    return values;
  }
}
