package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.EmbeddedModel;
import dev.longalign.io.ModelDirectory;
import dev.longalign.io.SafetensorsWriter;
import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/**
 * The command line in this process: exit codes, messages, JSON. Pictures are small and of few
 * steps.
 */
final class CommandLineTest {
  private static final String PROMPT =
      "A large orange diamond sits in the lower center of the picture. The backdrop is white.";

  private static final Path API_TESTS = Path.of("..", "longalign-api", "src", "test");
  private static final Path TINY = API_TESTS.resolve("golden/models/tiny-longsd");

  @TempDir Path temp;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @Test
  void everyCommandHasHelp() {
    for (CommandLine command : commandLine().getSubcommands().values()) {
      assertThat(run(command.getCommandName(), "--help")).isEqualTo(ExitCode.OK);
      assertThat(out.toString()).contains("Usage: longalign " + command.getCommandName(), "130");
    }
    assertThat(run("--version")).isEqualTo(ExitCode.OK);
    assertThat(out.toString()).contains("longalign ", "JDK " + System.getProperty("java.version"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "nonsense | longalign: Unmatched argument",
        "sample | expected a prompt, --prompt-file or --from-png",
        "sample p --width 500 | --width: expected a multiple of 8, found 500; use 496 or 504",
        "sample p --guidance -1 | --guidance: expected 0.0 to 1000.0, found -1.0",
        "sample p --batch 0 | --batch: expected 1 to 10000, found 0",
        "sample p --images 10001 | --images: expected 1 to 10000, found 10001",
        "sample p --threads 0 | expected a number from 1 to",
        "sample p --eta 0.5 | --eta: expected --scheduler ddim",
        "sample p --out a.jpg | --out a.jpg: expected a name that ends with .png",
        "sample p --init-image a\0.png | no file can have this name",
        "sample p --steps -1 | steps: expected 1 to 1000, found -1",
        "sample p --strength 0.5 | expected --init-image",
        "sample p --prompt-file f | found both",
        "sample p --scheduler heun | EULER_ANCESTRAL",
        "sample p --lora x.pt:much | PATH:SCALE",
        "inspect | Missing required parameter"
      })
  void whatIsNotUnderstoodIsUsage(String arguments, String message) {
    assertThat(run(arguments.trim().split(" "))).isEqualTo(ExitCode.USAGE);
    assertThat(err.toString()).contains(message, "--help").doesNotContain("\tat ");
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void failuresNameTheThingAndHideTheStack() {
    assertThat(run("sample", PROMPT, "--model", temp + "/no", "--out", temp + "/o.png"))
        .isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains(temp + "/no").doesNotContain("\tat ");
    assertThat(run("inspect", temp + "/no", "--stacktrace")).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("\tat dev.longalign");
    assertThat(run("inspect", temp + "/no", "--json")).isEqualTo(ExitCode.FAILED);
    assertThat(json().get("error").getAsString()).contains(temp + "/no");
    assertThat(run("sample", "--json", PROMPT, "--out", "")).isEqualTo(ExitCode.USAGE);
    assertThat(json().get("error").getAsString()).contains("expected a path, found an empty text");
  }

  /** Everything that the file system says is told in words, and before a model is loaded. */
  @Test
  void placesThatCannotBeWrittenAreNamed() throws Exception {
    Path file = Files.writeString(temp.resolve("file"), "");
    for (String out : new String[] {file + "/a.png", file + "/", file + "/b/c/"}) {
      assertThat(run("sample", PROMPT, "--images", out.endsWith("/") ? "2" : "1", "--out", out))
          .isEqualTo(ExitCode.FAILED);
      assertThat(err.toString())
          .contains(file.toString(), "expected a directory")
          .doesNotContain("Exception", "loading");
    }
    assertThat(run("sample", "--prompt-file", temp + "/none")).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains(temp + "/none").doesNotContain("Exception");
    assertThat(run("eta", temp + "/none", "--out", temp + "/eta")).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains(temp + "/none").doesNotContain("Exception");
    assertThat(temp.resolve("eta")).doesNotExist();
  }

  @Test
  void whatIsHardlyMeantIsSaid() {
    String[] quick = {
      "sample", "A red apple.", "--steps", "1", "--width", "8", "--height", "8", "--out", temp + "/"
    };
    assertThat(run(quick)).isEqualTo(ExitCode.OK);
    assertThat(err.toString()).contains("nothing but coloured shapes (circle,", "--model");
    quick[1] = " ";
    assertThat(run(quick)).isEqualTo(ExitCode.OK);
    assertThat(err.toString()).contains("the prompt is empty");
    quick[1] = PROMPT;
    assertThat(run(with(quick, "--quiet", "--threads", "64"))).isEqualTo(ExitCode.OK);
    assertThat(err.toString()).isEmpty();
    assertThat(temp.resolve("00.png")).exists();
  }

  @Test
  void aFailedSampleLeavesNoFile() throws Exception {
    Path broken = Files.writeString(temp.resolve("broken.safetensors"), "no weights");
    Path target = temp.resolve("o.png");
    assertThat(run("sample", PROMPT, "--lora", broken.toString(), "--out", target.toString()))
        .isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("broken.safetensors");
    assertThat(target).doesNotExist();
  }

  /** The tiny model in one file, by the names that diffusers' script gives it. */
  private Path singleFile() throws IOException {
    List<StoredTensor> tensors = new ArrayList<>();
    List<String> names =
        Files.readAllLines(
            API_TESTS.resolve("resources/dev/longalign/pipeline/original-names.tsv"));
    ModelDirectory tiny = ModelDirectory.open(TINY);
    for (String part : new String[] {"unet", "vae", "text_encoder"}) {
      try (TensorFile weights = tiny.weights(part)) {
        for (String line : names) {
          String[] fields = line.split("\t");
          if (fields[0].equals(part)) {
            StoredTensor found = weights.tensor(fields[1]);
            tensors.add(StoredTensor.of(fields[2], found.dtype(), found.shape(), found.data()));
          }
        }
      }
    }
    tensors.add(StoredTensor.ofFloats("model_ema.decay", DType.F32, Shape.of(1), new float[] {1}));
    Path file = temp.resolve("tiny.safetensors");
    SafetensorsWriter.write(file, tensors);
    return file;
  }

  @Test
  void convertsASingleFileAndSamplesFromIt() throws Exception {
    String file = singleFile().toString();
    String directory = temp.resolve("model").toString();
    assertThat(run("inspect", file)).isEqualTo(ExitCode.OK);
    assertThat(out.toString()).contains("longalign convert " + file + " --out");
    assertThat(run("convert", file, "--out", directory)).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("expected [320, 4, 3, 3]", "found [32, 4, 3, 3]");
    assertThat(Path.of(directory)).doesNotExist();

    assertThat(run("convert", file, "--like", TINY.toString(), "--out", directory))
        .as(err.toString())
        .isEqualTo(ExitCode.OK);
    assertThat(out.toString()).contains("tensors", "not used: model_ema, 1 tensors");
    Path picture = temp.resolve("o.png");
    assertThat(
            run(
                "sample",
                PROMPT,
                "--model",
                directory,
                "--steps",
                "2",
                "--width",
                "64",
                "--height",
                "64",
                "--out",
                picture.toString()))
        .as(err.toString())
        .isEqualTo(ExitCode.OK);
    assertThat(picture).exists();
    assertThat(run("convert", file, "--like", TINY.toString(), "--out", directory))
        .isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("expected a new or empty directory");
    assertThat(run("convert", file, "--precision", "f8", "--out", directory))
        .isEqualTo(ExitCode.USAGE);
  }

  @Test
  void samplesAndRepeatsFromThePicture() throws Exception {
    Path first = temp.resolve("first.png");
    Path again = temp.resolve("again.png");
    Path preview = temp.resolve("preview.png");
    assertThat(
            run(
                "sample",
                PROMPT,
                "--steps",
                "2",
                "--width",
                "64",
                "--height",
                "64",
                "--json",
                "--out",
                first.toString(),
                "--preview",
                preview.toString()))
        .as(err.toString())
        .isEqualTo(ExitCode.OK);
    JsonObject report = json();
    assertThat(report.get("file").getAsString()).isEqualTo(first.toString());
    assertThat(report.get("seed").getAsLong()).isEqualTo(42);
    assertThat(report.get("complete").getAsBoolean()).isTrue();
    assertThat(report.get("secondsPerStep").getAsDouble()).isPositive();
    assertThat(report.getAsJsonObject("request").get("steps").getAsInt()).isEqualTo(2);
    assertThat(preview).exists();

    assertThat(run("sample", "--from-png", first.toString(), "--out", again.toString()))
        .as(err.toString())
        .isEqualTo(ExitCode.OK);
    assertThat(again).hasSameBinaryContentAs(first);

    assertThat(run("inspect", first.toString())).isEqualTo(ExitCode.OK);
    assertThat(out.toString())
        .contains("64 x 64", "longsd-mini", "orange diamond", "Steps: 2, Sampler: UniPC");
    assertThat(run("inspect", "--json", first.toString())).isEqualTo(ExitCode.OK);
    assertThat(
            json()
                .getAsJsonObject("settings")
                .getAsJsonObject("request")
                .get("prompt")
                .getAsString())
        .isEqualTo(PROMPT);
  }

  /** The small model trains a step, and the report adds up. */
  @Test
  void aTrainingStepIsTimed() {
    // Large enough for the checkpointed blocks to outweigh the context, which is not repeated.
    String[] common = {"bench", "train-step", "--runs", "1", "--size", "96", "--rank", "4"};
    assertThat(run(with(common, "--json"))).as(err.toString()).isEqualTo(ExitCode.OK);
    JsonObject measured = json();
    JsonObject training = measured.getAsJsonObject("training");
    double forward = training.get("forward_tflop").getAsDouble();
    double backward = training.get("backward_tflop").getAsDouble();
    double repeated = training.get("repeated_tflop").getAsDouble();
    assertThat(backward).isBetween(forward, 3 * forward);
    assertThat(repeated).isBetween(0.5 * forward, 1.5 * forward);
    assertThat(forward + backward + repeated)
        .isCloseTo(measured.get("tflop_per_step").getAsDouble(), withinPercentage(0.1));
    assertThat(training.get("floor_seconds").getAsDouble())
        .isCloseTo(
            (forward + backward) * 1e3 / measured.get("roof_gflops").getAsDouble(),
            withinPercentage(0.1));

    // Without checkpoints only derivatives repeat anything, and the rest stays.
    assertThat(run(with(common, "--no-checkpointing", "--json"))).isEqualTo(ExitCode.OK);
    JsonObject plain = json().getAsJsonObject("training");
    assertThat(plain.get("repeated_tflop").getAsDouble()).isLessThan(0.5 * repeated);
    assertThat(plain.get("forward_tflop").getAsDouble()).isEqualTo(forward);
    assertThat(plain.get("backward_tflop").getAsDouble())
        .isCloseTo(backward, withinPercentage(0.1));

    assertThat(run(common)).isEqualTo(ExitCode.OK);
    assertThat(out.toString()).contains("floor ", "computed a second time", "in training");
    assertThat(run("bench", "training")).isEqualTo(ExitCode.USAGE);
    assertThat(err.toString()).contains("expected one of [unet, vae, encode, train-step]");
  }

  private static String[] with(String[] arguments, String... more) {
    return Stream.concat(Stream.of(arguments), Stream.of(more)).toArray(String[]::new);
  }

  @Test
  void aPromptFileNumbersItsPictures() throws Exception {
    Path prompts = Files.writeString(temp.resolve("prompts.txt"), PROMPT + "\n\nA red circle.\n");
    Path directory = temp.resolve("pictures");
    assertThat(
            run(
                "sample",
                "--prompt-file",
                prompts.toString(),
                "--out",
                directory.toString(),
                "--scheduler",
                "lcm",
                "--steps",
                "1",
                "--width",
                "32",
                "--height",
                "32"))
        .as(err.toString())
        .isEqualTo(ExitCode.OK);
    assertThat(directory).isDirectoryContaining("glob:**/00.png");
    assertThat(directory).isDirectoryContaining("glob:**/01.png");
    assertThat(directory.toFile().list()).hasSize(2);

    Files.writeString(prompts, PROMPT);
    Path one = temp.resolve("b.png");
    String[] single = {"sample", "--prompt-file", prompts.toString(), "--out", one.toString()};
    assertThat(run(with(single, "--steps", "1", "--width", "32", "--height", "32")))
        .as(err.toString())
        .isEqualTo(ExitCode.OK);
    assertThat(one).as("one prompt, one picture").isRegularFile();
  }

  @Test
  void encodeShowsSegmentsAndWhatIsCut() {
    assertThat(run("encode", PROMPT)).isEqualTo(ExitCode.OK);
    assertThat(out.toString()).contains("2 segments", "The backdrop is white.", "nothing is cut");
    String tooLong = "A red circle and ".repeat(60);
    assertThat(run("encode", tooLong, "--json", "--strict")).isEqualTo(ExitCode.FAILED);
    assertThat(json().getAsJsonArray("lostTokens")).isNotEmpty();
  }

  @Test
  void inspectTellsWhatThingsAre() {
    Path model = EmbeddedModel.directory();
    assertThat(run("inspect", model.toString(), model + "/lora_vis.pt", model + "/adapter"))
        .isEqualTo(ExitCode.OK);
    assertThat(out.toString())
        .contains("StableDiffusionPipeline", "UNet2DConditionModel", "rank 32 in 103 layers")
        .contains("text adapter weights")
        .doesNotContain("missing");
    assertThat(run("inspect", "--json", model.toString())).isEqualTo(ExitCode.OK);
    assertThat(json().getAsJsonObject("model").getAsJsonArray("missing")).isEmpty();
  }

  @Test
  void inspectTellsEveryPath() throws IOException {
    Path run = Files.createDirectories(temp.resolve("run/step-00000030"));
    Files.writeString(run.resolve("state.json"), "{\"stage\": \"align\", \"step\": 30}");
    Files.writeString(run.resolve("state.safetensors"), "");
    Path data = Files.createDirectories(temp.resolve("data"));
    Files.writeString(data.resolve("a.png"), "");
    Path peft = Files.createDirectories(temp.resolve("peft"));
    StoredTensor loha =
        StoredTensor.ofFloats("x.hada_w1_a", DType.F32, Shape.of(1), new float[] {1});
    SafetensorsWriter.write(peft.resolve("adapter_model.safetensors"), List.of(loha));
    Path empty = Files.createDirectories(temp.resolve("empty"));
    List<String> paths =
        List.of(temp + "/no", run.getParent().toString(), run.toString(), empty.toString());
    List<String> arguments = new ArrayList<>(List.of("inspect"));
    arguments.addAll(paths);
    arguments.addAll(List.of(data.toString(), peft.toString()));
    assertThat(run(arguments.toArray(String[]::new))).isEqualTo(ExitCode.FAILED);
    assertThat(out.toString())
        .contains("a training run", "stage: align", "step: 30", "a checkpoint of a training")
        .contains("training data", "pictures: 1")
        .contains("a LoHa (LyCORIS)", "not supported");
    assertThat(err.toString()).contains(temp + "/no", "empty: expected a model");
  }

  @Test
  void doctorFindsWhatTheJarsBring() {
    assertThat(run("doctor", "--json")).as(out.toString()).isEqualTo(ExitCode.OK);
    assertThat(json().get("ok").getAsBoolean()).isTrue();
    assertThat(out.toString()).contains("oneDNN", "ONNX Runtime", "NVIDIA driver", "main memory");
  }

  @ParameterizedTest
  @ValueSource(strings = {"a.pt:0.5", "a.pt"})
  void loraOptionsCarryAScale(String text) {
    LoraOption option = new LoraOption.Converter().convert(text);
    assertThat(option).isEqualTo(new LoraOption(Path.of("a.pt"), text.endsWith("5") ? 0.5f : 1f));
  }

  private CommandLine commandLine() {
    return Main.commandLine(new PrintWriter(out), new PrintWriter(err));
  }

  private int run(String... arguments) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    return commandLine().execute(arguments);
  }

  private JsonObject json() {
    String[] lines = out.toString().strip().split("\n");
    return JsonParser.parseString(lines[lines.length - 1]).getAsJsonObject();
  }
}
