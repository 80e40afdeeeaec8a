package dev.longalign.cli.bench;

import dev.longalign.LongAlignException;
import dev.longalign.model.TextAdapter;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.PromptEncoder;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.tensor.Backend;
import dev.longalign.text.EncoderProvider;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Times the way from a long caption to the UNet's context. */
public final class TextBench {
  private static final String SENTENCE =
      "A large orange diamond sits in the lower center of the picture, drawn with a clean outline. ";
  private static final int SENTENCES = 8;

  private TextBench() {}

  /**
   * One caption of eight sentences a run; there is no roof, since the encoders do not run on the
   * backend.
   */
  public static Measurement encode(ModelBench.Settings settings, Runnable progress) {
    if (settings.config().equals("sd15")) {
      throw new LongAlignException(
          "bench encode: expected mini or a diffusers directory, found sd15: text encoders need their"
              + " tokenizer's files");
    }
    ModelFiles files = ModelFiles.find(settings.directory(), null, null, List.of(), false);
    try (Backend backend = settings.open();
        TextAdapter adapter = files.loadAdapter(backend);
        PromptEncoder encoder =
            new PromptEncoder(
                EncoderProvider.find().on(settings.device().resolved()),
                files.textFiles(),
                adapter,
                backend,
                settings.threads())) {
      TextEncoding encoding = adapter == null ? TextEncoding.SEGMENTS : TextEncoding.LONGALIGN;
      List<Double> seconds = new ArrayList<>();
      for (int run = -2; run < settings.runs(); run++) {
        // Every run has a caption of its own: recent ones are remembered.
        String caption = "Picture number " + run + ". " + SENTENCE.repeat(SENTENCES);
        long begin = System.nanoTime();
        encoder.encode(caption, encoding, false);
        if (run >= 0) {
          seconds.add((System.nanoTime() - begin) * 1e-9);
        }
        progress.run();
      }
      double median = seconds.stream().sorted().skip(settings.runs() / 2).findFirst().orElseThrow();
      return new Measurement(
          "encode " + settings.config() + ", a caption of " + (SENTENCES + 1) + " sentences",
          backend.name(),
          median,
          seconds,
          null,
          null,
          null,
          null,
          backend.memory().peak(),
          Map.of(),
          null);
    }
  }
}
