package dev.longalign.training.export;

import dev.longalign.pipeline.SamplingDefaults;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * Where a model comes from, as far as {@link Exports} cannot see it by itself. Names only, no
 * paths: models are published.
 *
 * <pre>{@code
 * ModelCard card = ModelCard.of("Long captions for SD 1.5")
 *     .withTraining("align", 20_000, data.description(), Map.of("learningRate", "3e-5"))
 *     .withBaseModel("stable-diffusion-v1-5/stable-diffusion-v1-5")
 *     .withBackend(backend.name());
 * }</pre>
 *
 * @param title of the card
 * @param stage that was trained; empty if the files were only converted
 * @param steps of the optimizer
 * @param data what it was trained on, see {@link dev.longalign.training.TrainingData#description}
 * @param settings of the training, by name
 * @param baseModel a name of the base; one like {@code owner/name} is taken for one of the Hugging
 *     Face Hub; empty: the name of its directory
 * @param backend that computed; empty if nothing is known
 * @param license an identifier of the Hugging Face Hub; empty: not said
 * @param sampling what the files are sampled with; empty: as the card of the file that was
 *     converted says, or the base's own
 * @param notes Markdown for the readers; may be empty
 */
public record ModelCard(
    String title,
    String stage,
    long steps,
    String data,
    Map<String, String> settings,
    String baseModel,
    String backend,
    String license,
    Optional<SamplingDefaults> sampling,
    String notes) {

  public ModelCard {
    Objects.requireNonNull(title, "title");
    Objects.requireNonNull(stage, "stage");
    Objects.requireNonNull(data, "data");
    settings = Collections.unmodifiableMap(new LinkedHashMap<>(settings));
    Objects.requireNonNull(baseModel, "baseModel");
    Objects.requireNonNull(backend, "backend");
    Objects.requireNonNull(license, "license");
    Objects.requireNonNull(sampling, "sampling");
    Objects.requireNonNull(notes, "notes");
  }

  /** A card that says nothing yet. */
  public static ModelCard of(String title) {
    return new ModelCard(title, "", 0, "", Map.of(), "", "", "", Optional.empty(), "");
  }

  public ModelCard withTraining(
      String trainedStage, long trainedSteps, String trainedOn, Map<String, String> trainedWith) {
    return new ModelCard(
        title,
        trainedStage,
        trainedSteps,
        trainedOn,
        trainedWith,
        baseModel,
        backend,
        license,
        sampling,
        notes);
  }

  public ModelCard withBaseModel(String name) {
    return new ModelCard(
        title, stage, steps, data, settings, name, backend, license, sampling, notes);
  }

  public ModelCard withBackend(String name) {
    return new ModelCard(
        title, stage, steps, data, settings, baseModel, name, license, sampling, notes);
  }

  public ModelCard withLicense(String identifier) {
    return new ModelCard(
        title, stage, steps, data, settings, baseModel, backend, identifier, sampling, notes);
  }

  public ModelCard withSampling(SamplingDefaults with) {
    return new ModelCard(
        title, stage, steps, data, settings, baseModel, backend, license, Optional.of(with), notes);
  }

  public ModelCard withNotes(String markdown) {
    return new ModelCard(
        title, stage, steps, data, settings, baseModel, backend, license, sampling, markdown);
  }
}
