package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.autograd.AutogradBackend;
import dev.longalign.model.PreparedContext;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.random.RandomTensors;
import dev.longalign.random.TorchGenerator;
import dev.longalign.scheduler.ConsistencyBoundary;
import dev.longalign.scheduler.DdimSolver;
import dev.longalign.scheduler.NoiseSchedule;
import dev.longalign.scheduler.PredictionType;
import dev.longalign.tensor.Tensor;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * Stage 2: consistency distillation (Luo et al. 2023; {@code train_unet_lcm.py} of the published
 * code). The student's guess at a timestep shall be its own guess after one guided DDIM step of the
 * frozen teacher.
 *
 * <p>Inputs: {@code latents} and {@code noise} [B, h, w, C], {@code context} and {@code
 * unconditional} [B, S, D], integers {@code timesteps} [B], where the steps start. Traced, all [B,
 * h, w, C]: {@code noisy}, {@code student} (its output), {@code online}, {@code teacher_cond},
 * {@code teacher_uncond}, {@code guided_x0}, {@code guided_noise}, {@code x_prev}, {@code
 * target_out}, {@code target}.
 *
 * @param <E> an example of the dataset
 */
public final class LcmObjective<E> implements Objective<E> {
  private final AutogradBackend autograd;
  private final UNet2DCondition student;
  private final UNet2DCondition teacher;
  private final UnaryOperator<Tensor> adapter;
  private final NoiseSchedule schedule;
  private final DdimSolver solver;
  private final ExampleEncoder<E> encoder;
  private final Settings settings;

  /**
   * @param predictionType what both networks output
   * @param guidanceScale of the teacher
   * @param ddimSteps into which the teacher divides the training timesteps
   * @param firstTimestep the least timestep to start from
   * @param huber c of the pseudo-Huber loss
   */
  public record Settings(
      PredictionType predictionType,
      float guidanceScale,
      int ddimSteps,
      int firstTimestep,
      float huber) {
    /** What LongAlign trains with. */
    public static final Settings DEFAULT =
        new Settings(PredictionType.EPSILON, 7.5f, 50, 10, 1e-3f);

    /** The same for networks that output something else. */
    public Settings withPrediction(PredictionType type) {
      return new Settings(type, guidanceScale, ddimSteps, firstTimestep, huber);
    }

    public Settings {
      if (!Float.isFinite(guidanceScale) || firstTimestep < 0 || !(huber > 0)) {
        throw new LongAlignException(
            "lcm: expected a finite guidance scale, a first timestep of at least 0 and a positive "
                + "Huber constant, found "
                + guidanceScale
                + ", "
                + firstTimestep
                + " and "
                + huber);
      }
    }
  }

  /**
   * @param student loaded on {@code autograd}, with the LoRA in training beside its layers
   * @param teacher frozen
   * @param adapter frozen, from T5's hidden states to the context's width
   * @param encoder may be null if only {@link #loss} is called
   */
  public LcmObjective(
      AutogradBackend autograd,
      UNet2DCondition student,
      UNet2DCondition teacher,
      UnaryOperator<Tensor> adapter,
      NoiseSchedule schedule,
      ExampleEncoder<E> encoder,
      Settings settings) {
    this.autograd = autograd;
    this.student = student;
    this.teacher = teacher;
    this.adapter = adapter;
    this.schedule = schedule;
    this.solver = new DdimSolver(schedule, settings.ddimSteps);
    this.encoder = encoder;
    this.settings = settings;
  }

  @Override
  public String stage() {
    return "lcm";
  }

  @Override
  public StepInputs prepare(List<E> examples, TorchGenerator random) {
    int batch = examples.size();
    Tensor latents = encoder.latents(examples, random);
    Tensor noise = RandomTensors.randn(student.backend(), random, latents.shape());
    int[] start = Draws.timesteps(random, settings.firstTimestep, schedule.size(), batch);
    return new StepInputs(
        encoder.ids(examples),
        Map.of(
            "latents",
            latents,
            "noise",
            noise,
            "context",
            Draws.context(encoder.texts(examples), adapter),
            "unconditional",
            Draws.repeatRow(Draws.context(encoder.emptyText(), adapter), batch)),
        Map.of("timesteps", start));
  }

  @Override
  public Loss loss(StepInputs inputs) {
    return loss(inputs, Trace.NONE);
  }

  @Override
  public Loss loss(StepInputs inputs, Trace trace) {
    PredictionType type = settings.predictionType;
    int[] start = inputs.integers("timesteps");
    int[] end = new int[start.length];
    for (int i = 0; i < end.length; i++) {
      end[i] = solver.previous(start[i]);
    }
    Tensor noisy = schedule.addNoise(inputs.tensor("latents"), inputs.tensor("noise"), start);
    PreparedContext context = student.prepareContext(inputs.tensor("context"));
    Tensor output = student.forward(noisy, Draws.floats(start), context);
    Tensor x0 = schedule.predictedOriginal(type, output, noisy, start);
    Tensor online = ConsistencyBoundary.DEFAULT.apply(noisy, x0, start);
    trace.value("noisy", noisy);
    trace.value("student", output);
    trace.value("online", online);

    Tensor target;
    try (AutogradBackend.NoGradient off = autograd.noGradient()) {
      Tensor previous = teacherStep(inputs, noisy, start, trace);
      Tensor later = student.forward(previous, Draws.floats(end), context);
      Tensor guess = schedule.predictedOriginal(type, later, previous, end);
      target = ConsistencyBoundary.DEFAULT.apply(previous, guess, end);
      trace.value("x_prev", previous);
      trace.value("target_out", later);
      trace.value("target", target);
    }
    return Loss.of(Draws.difference(online, target).pseudoHuber(settings.huber).mean());
  }

  /**
   * One guided DDIM step. As in the published code the raw output takes the place of the noise, for
   * v-prediction too.
   */
  private Tensor teacherStep(StepInputs inputs, Tensor noisy, int[] start, Trace trace) {
    float[] times = Draws.floats(start);
    Tensor conditional =
        teacher.forward(noisy, times, teacher.prepareContext(inputs.tensor("context")));
    Tensor unconditional =
        teacher.forward(noisy, times, teacher.prepareContext(inputs.tensor("unconditional")));
    PredictionType type = settings.predictionType;
    float w = settings.guidanceScale;
    Tensor x0 =
        Draws.guided(
            schedule.predictedOriginal(type, conditional, noisy, start),
            schedule.predictedOriginal(type, unconditional, noisy, start),
            w);
    Tensor noise = Draws.guided(conditional, unconditional, w);
    trace.value("teacher_cond", conditional);
    trace.value("teacher_uncond", unconditional);
    trace.value("guided_x0", x0);
    trace.value("guided_noise", noise);
    return solver.step(x0, noise, start);
  }
}
