package dev.longalign.training;

import static org.assertj.core.api.Assertions.assertThat;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtProvider;
import dev.longalign.onnx.OnnxEncoderProvider;
import dev.longalign.onnx.OnnxPreferenceProvider;
import dev.longalign.onnx.OnnxRuntime;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.preference.PreferenceModel;
import dev.longalign.preference.PreferenceProvider;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.BackendProvider;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.DeviceOptions;
import dev.longalign.tensor.cpu.CpuBackend;
import dev.longalign.text.EncoderProvider;
import dev.longalign.text.TextEncoder;
import dev.longalign.text.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Enumeration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The text encoders and the preference model of a run are asked for the device that trains. Here
 * that is called cuda and is the CPU; the providers are ONNX Runtime's, and write down what they
 * are asked for.
 */
public final class TrainingDeviceTest {
  private static final List<String> ASKED = new CopyOnWriteArrayList<>();

  @TempDir Path folder;

  private ClassLoader before;

  /** The services of this test come first: no other test sees them. */
  @BeforeEach
  void register() throws IOException {
    ASKED.clear();
    Map<Class<?>, Class<?>> services =
        Map.of(
            BackendProvider.class, Cuda.class,
            EncoderProvider.class, Encoders.class,
            PreferenceProvider.class, Preferences.class);
    for (Map.Entry<Class<?>, Class<?>> service : services.entrySet()) {
      Files.writeString(folder.resolve(service.getKey().getName()), service.getValue().getName());
    }
    before = Thread.currentThread().getContextClassLoader();
    Thread.currentThread().setContextClassLoader(new Services(folder, before));
  }

  @AfterEach
  void unregister() {
    Thread.currentThread().setContextClassLoader(before);
  }

  @Test
  void encodersAndPreferenceModelAreOpenedForTheDeviceOfTheRun() {
    train(Stage.REWARD, "reward", Device.cuda(1));
    assertThat(ASKED)
        .containsExactlyInAnyOrder(
            "text encoders on cuda:1",
            "clip on cuda:1",
            "t5 on cuda:1",
            "preference models on cuda:1",
            "denscore on cuda:1");
  }

  @Test
  void theBestDeviceIsAskedForByItsName() {
    train(Stage.ALIGN, "align", Device.best());
    assertThat(ASKED)
        .containsExactlyInAnyOrder("text encoders on cuda", "clip on cuda", "t5 on cuda");
  }

  /** With the artifact for CPUs: the log says so, and the step is that of the CPU. */
  @Test
  void whereThisRuntimeHasNoCudaTrainingEncodesAndScoresOnTheCpu() {
    OnnxRuntime.environment();
    Assumptions.assumeFalse(
        OrtEnvironment.getAvailableProviders().contains(OrtProvider.CUDA), "onnxruntime_gpu");
    PrintStream console = System.err;
    ByteArrayOutputStream log = new ByteArrayOutputStream();
    System.setErr(new PrintStream(log, true, StandardCharsets.UTF_8));
    double cuda;
    try {
      cuda = train(Stage.REWARD, "cuda", Device.cuda(1));
    } finally {
      System.setErr(console);
    }
    assertThat(log.toString(StandardCharsets.UTF_8))
        .contains("text encoders run on the CPU", "preference models run on the CPU", "cuda:1");
    Thread.currentThread().setContextClassLoader(before);
    assertThat(cuda).isEqualTo(train(Stage.REWARD, "cpu", Device.cpu()));
  }

  /** One step on the tiny model; returns its loss. */
  private double train(Stage stage, String output, Device device) {
    String reward =
        stage == Stage.REWARD ? ", batchSize: 2, samplingSteps: 2, every: 2, guidanceScale: 3" : "";
    RunConfig config =
        RunConfig.parse(
            "{output: "
                + output
                + ", steps: 1, data: 'panels:short:2', resolution: 64, rank: 2, warmupSteps: 0"
                + reward
                + "}",
            stage,
            folder);
    Path model = TinyTraining.folder();
    ModelFiles files =
        ModelFiles.find(model, model.resolve("s28750_adapter"), null, List.of(), false);
    double[] loss = {Double.NaN};
    try (TrainingRun run = TrainingRun.open(config, files, device, 1)) {
      run.trainer()
          .listen(
              new TrainingListener() {
                @Override
                public void onStep(StepReport step) {
                  loss[0] = step.loss();
                }
              });
      run.trainer().trainTo(1);
    }
    assertThat(loss[0]).isFinite();
    return loss[0];
  }

  /** Finds the services that have a file in a folder there alone. */
  private static final class Services extends ClassLoader {
    private final Path folder;

    Services(Path folder, ClassLoader parent) {
      super(parent);
      this.folder = folder;
    }

    @Override
    public Enumeration<URL> getResources(String name) throws IOException {
      Path file = folder.resolve(name.replace("META-INF/services/", ""));
      return Files.isRegularFile(file)
          ? Collections.enumeration(List.of(file.toUri().toURL()))
          : super.getResources(name);
    }
  }

  /** The CPU under another name. */
  public static final class Cuda implements BackendProvider {
    @Override
    public String kind() {
      return "cuda";
    }

    @Override
    public String whyUnavailable() {
      return null;
    }

    @Override
    public Backend open(DeviceOptions options) {
      return new CpuBackend(options.threads());
    }
  }

  /** Text encoders, each with the device that it was opened for. */
  public static final class Encoders implements EncoderProvider {
    private final EncoderProvider onnx;
    private final Device device;

    public Encoders() {
      this(new OnnxEncoderProvider(), Device.cpu());
    }

    private Encoders(EncoderProvider onnx, Device device) {
      this.onnx = onnx;
      this.device = device;
    }

    @Override
    public EncoderProvider on(Device where) {
      ASKED.add("text encoders on " + where);
      return new Encoders(onnx.on(where), where);
    }

    @Override
    public Tokenizer clipTokenizer(Path directory) {
      return onnx.clipTokenizer(directory);
    }

    @Override
    public Tokenizer t5Tokenizer(Path directory) {
      return onnx.t5Tokenizer(directory);
    }

    @Override
    public TextEncoder clipTextEncoder(Path directory, int threads) {
      ASKED.add("clip on " + device);
      return onnx.clipTextEncoder(directory, threads);
    }

    @Override
    public TextEncoder t5Encoder(Path directory, int threads) {
      ASKED.add("t5 on " + device);
      return onnx.t5Encoder(directory, threads);
    }
  }

  /** Preference models, each with the device that it was opened for. */
  public static final class Preferences implements PreferenceProvider {
    private final PreferenceProvider onnx;
    private final Device device;

    public Preferences() {
      this(new OnnxPreferenceProvider(), Device.cpu());
    }

    private Preferences(PreferenceProvider onnx, Device device) {
      this.onnx = onnx;
      this.device = device;
    }

    @Override
    public PreferenceProvider on(Device where) {
      ASKED.add("preference models on " + where);
      return new Preferences(onnx.on(where), where);
    }

    @Override
    public PreferenceModel preferenceModel(Path model, Path tokenizer, int threads) {
      ASKED.add(model.getFileName() + " on " + device);
      return onnx.preferenceModel(model, tokenizer, threads);
    }
  }
}
