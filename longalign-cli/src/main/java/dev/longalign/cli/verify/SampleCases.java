package dev.longalign.cli.verify;

import com.google.gson.JsonObject;
import dev.longalign.cli.verify.VerifyCase.Body;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.TextAdapter;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.pipeline.Denoiser;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.ModelFiles.LoraFile;
import dev.longalign.pipeline.PromptEncoder;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.scheduler.Scheduler;
import dev.longalign.scheduler.SchedulerConfig;
import dev.longalign.scheduler.SchedulerRun;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/** {@code sample/}: from prompts to pictures, every step, with the recorded noise. */
final class SampleCases implements CaseSource {
  private static final String AREA = "sample";
  private static final List<String> INPUTS = List.of("start_noise", "step_noise");

  private final Bench bench;
  private final Vectors vectors;
  private final ModelFiles files;
  private final TensorScope owner = TensorScope.detached();
  private Run done;

  SampleCases(Bench bench, Vectors vectors) {
    this.bench = bench;
    this.vectors = vectors;
    Path model = bench.model(vectors);
    List<LoraFile> loras =
        Values.texts(vectors.value("lora_files")).stream()
            .map(name -> new LoraFile(model.resolve(name), 1))
            .toList();
    this.files = EncodeCases.files(bench, model, loras);
  }

  /** All that one sampling gave; latents of every step in the reference's layout. */
  private record Run(
      Tensor conditional,
      Tensor unconditional,
      float[] timesteps,
      List<float[]> latents,
      Shape latentShape,
      Tensor decoded) {}

  @Override
  public List<VerifyCase> cases() {
    Map<String, Body> known = new LinkedHashMap<>();
    known.put("conditional_context", c -> context("conditional_context", run().conditional(), c));
    known.put(
        "unconditional_context", c -> context("unconditional_context", run().unconditional(), c));
    known.put("timesteps", this::timesteps);
    known.put("latents", this::latents);
    known.put("decoded", this::decoded);
    known.put("image_u8", c -> PictureBytes.check(vectors, "image_u8", run().decoded(), c));
    List<String> names = new ArrayList<>(vectors.names());
    names.removeAll(INPUTS);
    if (vectors.hasValue("timesteps")) {
      names.add("timesteps");
    }
    List<VerifyCase> cases = new ArrayList<>();
    for (String name : names) {
      String path = vectors.name() + "." + name;
      cases.add(
          known.containsKey(name)
              ? new VerifyCase(AREA, path, known.get(name))
              : VerifyCase.skipped(AREA, path, "unknown case"));
    }
    return cases;
  }

  private void context(String name, Tensor got, Comparison comparison) {
    comparison.close(vectors, name, got, Comparison.F32);
  }

  private void timesteps(Comparison comparison) {
    float[] expected = Values.floats(vectors.value("timesteps"), 0);
    float[] got = run().timesteps();
    comparison.close(
        "timesteps", Shape.of(expected.length), expected, Shape.of(got.length), got, 1e-6, 0);
  }

  private void latents(Comparison comparison) {
    Run run = run();
    comparison.same("number of steps", vectors.shape("latents").intDim(0), run.latents().size());
    for (int i = 0; i < run.latents().size(); i++) {
      comparison.close(
          "latents after step " + i,
          vectors.rowShape("latents"),
          vectors.row("latents", i),
          run.latentShape(),
          run.latents().get(i),
          Comparison.END_TO_END,
          vectors.float64Difference("latents"));
    }
  }

  /** The reference keeps the first pictures, every n-th row and column. */
  private void decoded(Comparison comparison) {
    Shape kept = vectors.shape("decoded");
    Tensor decoded = run().decoded();
    int rows = decoded.dim(1) / kept.intDim(2);
    int columns = decoded.dim(2) / kept.intDim(3);
    float[] values = Layouts.toNchw(decoded);
    float[] got = new float[Math.toIntExact(kept.size())];
    for (int i = 0; i < got.length; i++) {
      int plane = i / (kept.intDim(2) * kept.intDim(3));
      int y = i / kept.intDim(3) % kept.intDim(2) * rows;
      int x = i % kept.intDim(3) * columns;
      got[i] = values[(plane * decoded.dim(1) + y) * decoded.dim(2) + x];
    }
    comparison.close(
        "decoded",
        kept,
        vectors.floats("decoded"),
        kept,
        got,
        Comparison.END_TO_END,
        vectors.float64Difference("decoded"));
  }

  private Run run() {
    if (done == null) {
      try (TensorScope scope = TensorScope.open()) {
        Run run = sample();
        owner.adopt(run.conditional());
        owner.adopt(run.unconditional());
        owner.adopt(run.decoded());
        done = run;
      }
    }
    return done;
  }

  private Run sample() {
    String method = vectors.value("method").getAsString();
    Scheduler scheduler =
        Arrays.stream(Scheduler.values())
            .filter(s -> s.name().equals(method.toUpperCase(Locale.ROOT)))
            .findFirst()
            .orElseThrow(() -> new VerifyCase.Skipped("unknown sampler '" + method + "'"));
    JsonObject json = SchedulerCases.schedulerConfig(bench, vectors);
    if (vectors.hasValue("prediction_type")) {
      json.add("prediction_type", vectors.value("prediction_type"));
    }
    SchedulerConfig config = SchedulerConfig.of(json, scheduler);
    int steps = vectors.value("num_inference_steps").getAsInt();
    float guidance = vectors.value("guidance_scale").getAsFloat();
    List<String> prompts = Values.texts(vectors.value("prompts"));

    Tensor conditional = contexts(prompts);
    Tensor unconditional = contexts(List.of(""));
    List<float[]> latents = new ArrayList<>();
    try (SchedulerRun run = scheduler.start(config, steps);
        UNet2DCondition unet = files.loadUNet(bench.backend(), DType.F32)) {
      Tensor start = vectors.nhwc(bench.backend(), "start_noise").scale(run.initNoiseSigma());
      // The reference guides only above 1; below that it makes no unconditional pass.
      Tensor away = guidance > 1 ? repeated(unconditional, prompts.size()) : null;
      Tensor last =
          new Denoiser(unet, new ReentrantLock())
              .run(run, start, conditional, away, guidance, noise(), recorder(latents));
      try (AutoencoderKL vae = files.loadVae(bench.backend(), DType.F32)) {
        Shape shape = Layouts.nchw(last.shape());
        return new Run(
            conditional, unconditional, run.timesteps(), latents, shape, vae.decodeScaled(last));
      }
    }
  }

  private Tensor contexts(List<String> prompts) {
    try (TextAdapter adapter = files.loadAdapter(bench.backend());
        PromptEncoder encoder =
            new PromptEncoder(
                bench.encoders(), files.textFiles(), adapter, bench.backend(), bench.threads())) {
      Tensor[] contexts =
          prompts.stream()
              .map(prompt -> encoder.encode(prompt, TextEncoding.LONGALIGN, false))
              .map(encoding -> encoding.upload(bench.backend()))
              .toArray(Tensor[]::new);
      return Tensor.concat(0, contexts);
    }
  }

  private static Tensor repeated(Tensor one, int times) {
    Tensor[] copies = new Tensor[times];
    Arrays.fill(copies, one);
    return Tensor.concat(0, copies);
  }

  private Supplier<Tensor> noise() {
    int[] drawn = {0};
    return () -> vectors.nhwcRow(bench.backend(), "step_noise", drawn[0]++);
  }

  private static Denoiser.Observer recorder(List<float[]> latents) {
    return new Denoiser.Observer() {
      @Override
      public void afterStep(int step, float timestep, Tensor after, Supplier<Tensor> original) {
        latents.add(Layouts.toNchw(after));
      }
    };
  }

  @Override
  public void close() {
    owner.close();
  }
}
