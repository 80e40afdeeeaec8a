package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.data.FeatureExample;
import dev.longalign.data.TrainingExample;
import dev.longalign.io.StoredTensor;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.DiagonalGaussian;
import dev.longalign.nn.FiniteCheck;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.PromptEncoder;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.random.NoiseSource;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.DType;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.text.EncoderProvider;
import dev.longalign.text.HiddenStates;
import dev.longalign.text.TextReader;
import dev.longalign.text.Tokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * Encodes pictures with the model's autoencoder and captions with its two text encoders, as
 * sampling does. The pictures of a batch are of one size.
 */
public final class PictureEncoder implements ExampleEncoder<TrainingExample>, AutoCloseable {
  private final Backend backend;
  private final AutoencoderKL vae;
  private final PromptEncoder clip;
  private final TextReader t5;

  /**
   * @param threads for the text encoders, 0 for one per core
   * @throws LongAlignException if the model has no T5, or a file is missing or damaged
   */
  public PictureEncoder(EncoderProvider provider, ModelFiles files, Backend backend, int threads) {
    Path t5Directory =
        files
            .t5()
            .orElseThrow(
                () ->
                    new LongAlignException(
                        files.model().path()
                            + ": training reads T5's hidden states: expected a directory t5,"
                            + " found none; name one"));
    this.backend = backend;
    this.vae = files.loadVae(backend, DType.F32);
    this.clip = new PromptEncoder(provider, files.textFiles(), null, backend, threads);
    this.t5 = TextReader.t5(provider, t5Directory, threads);
  }

  /** The frozen autoencoder; closed with the encoder. */
  AutoencoderKL vae() {
    return vae;
  }

  @Override
  public List<String> ids(List<TrainingExample> examples) {
    return examples.stream().map(TrainingExample::id).toList();
  }

  @Override
  public List<String> captions(List<TrainingExample> examples) {
    return TrainingExample.captions(examples);
  }

  @Override
  public Tensor latents(List<TrainingExample> examples, NoiseSource noise) {
    return FeatureEncoder.sample(backend, moments(examples), noise);
  }

  /** Mean, then standard deviation of the scaled latents: [B, h, w, 2 C] f32. */
  private Tensor moments(List<TrainingExample> examples) {
    try (TensorScope scope = TensorScope.open()) {
      DiagonalGaussian posterior = vae.encode(TrainingExample.pictures(backend, examples));
      Tensor deviation = posterior.std().scale(vae.config().scalingFactor());
      return scope.keep(Tensor.concat(3, vae.scale(posterior.mean()), deviation));
    }
  }

  /**
   * What {@link FeatureEncoder} reads, to be kept: the encoders then need not run again.
   *
   * @param dtype F32, or F16 for half of the size
   * @throws LongAlignException if a number is too large for {@code dtype}
   */
  public List<FeatureExample> features(List<TrainingExample> examples, DType dtype) {
    try (TensorScope scope = TensorScope.open()) {
      Tensor moments = moments(examples);
      Texts texts = texts(examples);
      List<FeatureExample> features = new ArrayList<>();
      for (int i = 0; i < examples.size(); i++) {
        TrainingExample example = examples.get(i);
        features.add(
            new FeatureExample(
                example.id(),
                example.caption(),
                Map.of(
                    FeatureEncoder.MOMENTS,
                    row(FeatureEncoder.MOMENTS, moments, i, dtype),
                    FeatureEncoder.CLIP,
                    row(FeatureEncoder.CLIP, texts.clip(), i, dtype),
                    FeatureEncoder.T5,
                    row(FeatureEncoder.T5, texts.t5(), i, dtype))));
      }
      return features;
    }
  }

  /** What {@link FeatureEncoder} reads of the empty caption. */
  public FeatureExample emptyFeatures(DType dtype) {
    try (TensorScope scope = TensorScope.open()) {
      Texts empty = emptyText();
      return new FeatureExample(
          "empty caption",
          "",
          Map.of(
              FeatureEncoder.CLIP,
              row(FeatureEncoder.CLIP, empty.clip(), 0, dtype),
              FeatureEncoder.T5,
              row(FeatureEncoder.T5, empty.t5(), 0, dtype)));
    }
  }

  private static StoredTensor row(String name, Tensor batch, int index, DType dtype) {
    long[] dims = batch.shape().toArray();
    Shape shape = Shape.of(Arrays.copyOfRange(dims, 1, dims.length));
    float[] values = batch.slice(0, index, index + 1).toFloats();
    return FiniteCheck.converted(StoredTensor.ofFloats(name, dtype, shape, values));
  }

  @Override
  public Texts texts(List<TrainingExample> examples) {
    return encode(captions(examples));
  }

  @Override
  public Texts emptyText() {
    return encode(List.of(""));
  }

  /** Both halves of captions' contexts. */
  Texts encode(List<String> captions) {
    return new Texts(clip(captions), t5(captions));
  }

  private Tensor clip(List<String> captions) { // [B, 240, D]
    Tensor[] rows = new Tensor[captions.size()];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = clip.encode(captions.get(i), TextEncoding.LONGALIGN, false).upload(backend);
    }
    return rows.length == 1 ? rows[0] : Tensor.concat(0, rows);
  }

  private Tensor t5(List<String> captions) { // [B, 240, d]: T5 reads the padding too
    int[][] ids =
        Tokenizer.pad(
            t5.tokenizer().encodeAll(captions),
            PromptEncoder.TOKEN_LENGTH,
            t5.tokenizer().padId(),
            t5.tokenizer().eosId());
    HiddenStates states = t5.encoder().encode(ids);
    return Tensor.of(
        backend, Shape.of(captions.size(), states.length(), states.width()), states.values());
  }

  @Override
  public void close() {
    t5.close();
    clip.close();
    vae.close();
  }
}
