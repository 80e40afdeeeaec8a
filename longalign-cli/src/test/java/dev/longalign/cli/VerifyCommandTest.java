package dev.longalign.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import dev.longalign.io.SafetensorsFile;
import dev.longalign.tensor.Golden;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every golden vector of this version; and that a wrong one is noticed. */
final class VerifyCommandTest {
  private static final Path GOLDEN = Golden.folder();

  @TempDir Path temp;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  /** A dict with numbers as keys, as optimizers have, and an infinity. */
  @Test
  void readsPlainValuesOfTorchFiles() throws IOException {
    Path io = Files.createDirectories(temp.resolve("io"));
    String pickle = "\u0080\2}(K\5X\1\0\0\0aK\7G\177\u00f0\0\0\0\0\0\0u.";
    try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(io.resolve("x.pt")))) {
      zip.putNextEntry(new ZipEntry("archive/data.pkl"));
      zip.write(pickle.getBytes(StandardCharsets.ISO_8859_1));
    }
    for (String last : new String[] {"Infinity", "-Infinity"}) {
      Files.writeString(
          io.resolve("io.json"),
          String.format(
              Locale.ROOT,
              """
          {"good": {"torch": {"x.pt": {"kind": "value", "value":
            {"dict": [[5, {"plain": "a"}], [7, {"plain": "%s"}]]}}}}}
          """,
              last));
      assertThat(run("verify", temp.toString()))
          .as(out + " " + err)
          .isEqualTo(last.equals("Infinity") ? ExitCode.OK : ExitCode.FAILED);
    }
  }

  /** All but the fifty steps of {@code reward/reward}, a minute which RewardGoldenTest takes. */
  @Test
  void everyGoldenVectorPasses() {
    String quick =
        "io,text,models,encode,schedulers,unet,sample,denscore,align,lcm,image,reward/reward_lcm";
    int code = run("verify", GOLDEN.toString(), "--json", "--threads", "2", "--only", quick);
    JsonObject report = json();
    Map<String, Integer> passed = new TreeMap<>();
    for (JsonElement element : report.getAsJsonArray("cases")) {
      JsonObject one = element.getAsJsonObject();
      String message = one.has("message") ? one.get("message").getAsString() : "";
      assertThat(one.get("status").getAsString()).as("%s", one).isNotEqualTo("FAIL");
      assertThat(message).as("%s", one).isNotEqualTo("unknown case");
      if (one.get("status").getAsString().equals("PASS")) {
        assertThat(one.get("error").getAsDouble())
            .isLessThanOrEqualTo(one.get("tolerance").getAsDouble());
        passed.merge(one.get("area").getAsString(), 1, Integer::sum);
      }
    }
    assertThat(passed)
        .containsOnlyKeys(
            "align",
            "denscore",
            "encode",
            "image",
            "io",
            "lcm",
            "models",
            "reward",
            "sample",
            "schedulers",
            "text",
            "unet");
    assertThat(passed.remove("image")).isEqualTo(5);
    assertThat(passed.values()).allMatch(count -> count >= 10);
    Map<String, Integer> summed = new TreeMap<>();
    for (JsonElement element : report.getAsJsonArray("areas")) {
      JsonObject area = element.getAsJsonObject();
      summed.put(area.get("area").getAsString(), area.get("passed").getAsInt());
      assertThat(area.get("error").getAsDouble())
          .isLessThanOrEqualTo(area.get("tolerance").getAsDouble());
    }
    assertThat(summed).containsAllEntriesOf(passed).hasSize(passed.size() + 1);
    assertThat(report.get("ok").getAsBoolean()).isTrue();
    assertThat(code).isEqualTo(ExitCode.OK);
  }

  @Test
  void aWrongTensorIsNamedWithItsPlace() throws IOException {
    Path copy = copy("unet/forward.json", "unet/forward.safetensors", "models/tiny-longsd/unet");
    float was = addTo(copy.resolve("unet/forward.safetensors"), "out_t500", 17, 0.01f);
    assertThat(run("verify", copy.toString(), "--only", "unet/forward")).isEqualTo(ExitCode.FAILED);
    assertThat(out.toString())
        .contains(
            "FAIL  unet/forward.out_t500", "out_t500 at [0, 0, 1, 1]: expected " + (was + 0.01f))
        .contains("PASS  unet/forward.out_t999", "1 failed");

    assertThat(run("verify", copy.toString(), "--only", "unet/forward.out_t500", "--json"))
        .isEqualTo(ExitCode.FAILED);
    JsonObject where =
        json().getAsJsonArray("cases").get(0).getAsJsonObject().getAsJsonObject("where");
    assertThat(where.get("tensor").getAsString()).isEqualTo("out_t500");
    assertThat(where.get("index").getAsString()).isEqualTo("[0, 0, 1, 1]");
    assertThat(where.get("got").getAsFloat()).isCloseTo(was, within(1e-4f));
  }

  @Test
  void aWrongTokenIsNamedWithItsText() throws IOException {
    Path copy = copy("text/t5_ids.json", "models/tiny-longsd/t5", "models/tiny-longsd/unet");
    edit(
        copy.resolve("text/t5_ids.json"),
        json -> {
          JsonObject test = json.getAsJsonArray("cases").get(3).getAsJsonObject();
          test.getAsJsonArray("ids").set(0, JsonParser.parseString("12345"));
        });
    assertThat(run("verify", copy.toString(), "--only", "text")).isEqualTo(ExitCode.FAILED);
    assertThat(out.toString()).contains("FAIL  text/t5_ids.ids", "at [0]: expected 12345, got ");
  }

  /** Each kind of value of a training step: one that is off by more than allowed is named. */
  @Test
  void aWrongTrainingStepIsNoticed() throws IOException {
    Path copy = copy("align/accumulation.json", "align/accumulation.safetensors", "models");
    String up = "lora.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_up.weight";
    Path tensors = copy.resolve("align/accumulation.safetensors");
    assertThat(run("verify", copy.toString(), "--only", "align")).isEqualTo(ExitCode.OK);
    assertThat(out.toString()).containsPattern("align +3 +0 +0 .* of .* in accumulation");

    addTo(tensors, "grad:" + up, 3, 1e-4f);
    addTo(tensors, "after:" + up, 5, 2e-5f);
    edit(
        copy.resolve("align/accumulation.json"),
        json ->
            json.getAsJsonObject("values")
                .getAsJsonObject("losses")
                .getAsJsonArray("value")
                .set(1, JsonParser.parseString("1.3118")));
    assertThat(run("verify", copy.toString(), "--only", "align")).isEqualTo(ExitCode.FAILED);
    assertThat(out.toString())
        .contains("3 failed", "loss 1: expected 1.3118, got 1.3117")
        .contains("grad:" + up + " at [0, 3]: expected", "after:" + up + " at [0, 5]: expected");
  }

  /** A trajectory names its run, its learning rate and its steps itself. */
  @Test
  void aTrajectoryOfOtherLengthIsFollowed() throws IOException {
    Path copy = copy("align/trajectory.json", "align/trajectory.safetensors", "models");
    edit(
        copy.resolve("align/trajectory.json"),
        json -> {
          JsonObject values = json.getAsJsonObject("values");
          JsonObject run = values.remove("lr_3e-5").getAsJsonObject().getAsJsonObject("value");
          run.remove("final_digests");
          for (String list : List.of("losses", "losses_float64", "grad_norms")) {
            for (int i = 0; i < 3; i++) {
              run.getAsJsonArray(list).remove(2);
            }
          }
          values.remove("lr_1e-3");
          values.remove("zero_up_lr_1e-3");
          values.add("slow", run);
        });
    assertThat(run("verify", copy.toString(), "--only", "align")).isEqualTo(ExitCode.OK);
    assertThat(out.toString()).contains("PASS  align/trajectory.slow");
  }

  @Test
  void badFilesThatAreAcceptedFail() throws IOException {
    Path copy = copy("io/io.json", "io/handmade.pt");
    Files.move(copy.resolve("io/handmade.pt"), copy.resolve("io/bad_memo.pt"));
    assertThat(run("verify", copy.toString(), "--only", "io/bad_memo")).isEqualTo(ExitCode.FAILED);
    assertThat(out.toString()).contains("FAIL  io/bad_memo.pt", "expected a refusal");
  }

  @Test
  void whatIsUnknownIsSkippedAndWhatIsBrokenFails() throws IOException {
    Path copy = copy("unet/forward.json", "unet/forward.safetensors", "models/tiny-longsd/unet");
    // The model goes by the name that the title gives.
    Files.move(copy.resolve("models/tiny-longsd"), copy.resolve("models/another"));
    edit(
        copy.resolve("unet/forward.json"),
        json -> json.addProperty("title", "UNet forward on models/another/unet"));
    Files.writeString(copy.resolve("unet/strange.json"), "{\"title\": \"Something new\"}");
    Files.createDirectories(copy.resolve("reward"));
    Files.writeString(copy.resolve("reward/reward.json"), "{}");
    Files.createDirectories(copy.resolve("novelties"));
    Files.writeString(copy.resolve("novelties/first.json"), "{}");
    assertThat(run("verify", copy.toString())).as(out + "" + err).isEqualTo(ExitCode.OK);
    assertThat(out.toString())
        .contains("PASS  unet/forward.odd_out", "SKIP  unet/strange", "unknown case")
        .contains("SKIP  reward/reward", "SKIP  novelties/first");

    Files.writeString(copy.resolve("unet/lora.json"), "not JSON");
    assertThat(run("verify", copy.toString())).isEqualTo(ExitCode.FAILED);
    assertThat(out.toString()).contains("FAIL  unet/lora.json", "expected a JSON object");
  }

  @Test
  void whatIsNoGoldenDirectoryIsRefused() throws IOException {
    assertThat(run("verify", temp + "/no")).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString())
        .contains(temp + "/no: expected a directory of golden vectors, found nothing");
    Files.createDirectories(temp.resolve("pictures"));
    assertThat(run("verify", temp.toString())).isEqualTo(ExitCode.FAILED);
    assertThat(err.toString()).contains("with some of [io, text,", "found [pictures]");
    assertThat(run("verify", GOLDEN.toString(), "--only", "nonsense")).isEqualTo(ExitCode.USAGE);
    assertThat(err.toString()).contains("--only nonsense", "areas: io, text");
  }

  private interface Edit {
    void apply(JsonObject json);
  }

  private static void edit(Path file, Edit edit) throws IOException {
    JsonObject json = JsonParser.parseString(Files.readString(file)).getAsJsonObject();
    edit.apply(json);
    Files.writeString(file, json.toString());
  }

  /** Changes one f32 element of a safetensors file; returns what it was. */
  private static float addTo(Path file, String tensor, int element, float change)
      throws IOException {
    long offset;
    try (SafetensorsFile tensors = SafetensorsFile.open(file)) {
      offset = tensors.region(tensor).offset();
    }
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int at = Math.toIntExact(offset) + 4 * element;
    float was = bytes.getFloat(at);
    bytes.putFloat(at, was + change);
    Files.write(file, bytes.array());
    return was;
  }

  /** A golden directory with these files and directories only. */
  private Path copy(String... names) throws IOException {
    for (String name : names) {
      Path from = GOLDEN.resolve(name);
      List<Path> files;
      try (Stream<Path> walk = Files.walk(from)) {
        files = walk.filter(Files::isRegularFile).toList();
      }
      files.forEach(
          file -> {
            Path to = temp.resolve(GOLDEN.relativize(file));
            try {
              Files.createDirectories(to.getParent());
              Files.copy(file, to);
            } catch (IOException e) {
              throw new UncheckedIOException(e);
            }
          });
    }
    return temp;
  }

  private int run(String... arguments) {
    out.getBuffer().setLength(0);
    err.getBuffer().setLength(0);
    return Main.commandLine(new PrintWriter(out), new PrintWriter(err)).execute(arguments);
  }

  private JsonObject json() {
    String[] lines = out.toString().strip().split("\n");
    return JsonParser.parseString(lines[lines.length - 1]).getAsJsonObject();
  }
}
