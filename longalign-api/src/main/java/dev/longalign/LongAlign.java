package dev.longalign;

import dev.longalign.host.ProcessSettings;
import dev.longalign.model.AutoencoderKL;
import dev.longalign.model.TextAdapter;
import dev.longalign.model.UNet2DCondition;
import dev.longalign.pipeline.Denoiser;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.PictureDecoder;
import dev.longalign.pipeline.PromptEncoder;
import dev.longalign.pipeline.SamplingDefaults;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.pipeline.VaeTiling;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Device;
import dev.longalign.tensor.MemoryUse;
import dev.longalign.text.EncoderProvider;
import dev.longalign.text.EncodingReport;
import java.awt.image.BufferedImage;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.function.Supplier;

/**
 * Pictures from long text. Heavy, thread-safe, meant to be built once and shared:
 *
 * <pre>{@code
 * try (LongAlign longAlign = LongAlign.builder().model(Path.of("stable-diffusion-v1-5"))
 *     .adapter(Path.of("s28750_adapter")).t5(Path.of("t5-large"))
 *     .lora(Path.of("s28750_lora_vis.pt")).lora(Path.of("sd15-reward-3750.pt")).build()) {
 *   longAlign.sample(SampleRequest.of(longText)).save(Path.of("out.png"));
 * }
 * }</pre>
 *
 * <p>Several threads may sample at once: they take turns step by step, and each gets the pictures
 * that it would get alone. {@link #close()} waits for the step under way and frees all memory.
 */
public final class LongAlign implements AutoCloseable {
  /** What diffusers tells a network that has guidance distilled into it, if nobody asks. */
  private static final float DISTILLED_GUIDANCE_SCALE = 8.5f;

  private final ModelFiles files;
  private final Device device;
  private final Precision precision;
  private final boolean keepEncoders;
  private final VaeTiling vaeTiling;
  private final SamplingDefaults defaults;
  private final EngineProvenance provenance;
  private final TextEncoding textEncoding;
  private final ReentrantLock turn = new ReentrantLock(true);
  private final Resources resources = new Resources();
  private final Backend backend;
  private final UNet2DCondition unet;
  private final AutoencoderKL vae;
  private final PromptEncoder prompts;
  private final ExecutorService executor;
  private volatile boolean closed;

  LongAlign(
      ModelFiles files,
      TextEncoding textEncoding,
      Device device,
      Precision precision,
      int threads,
      boolean keepEncoders,
      VaeTiling vaeTiling,
      Consumer<String> loading) {
    this.files = files;
    this.device = device.resolved();
    this.precision = precision;
    this.keepEncoders = keepEncoders;
    this.vaeTiling = vaeTiling;
    this.defaults = files.defaults();
    this.textEncoding = checked(files, textEncoding);
    // Before anything is read: what changes meanwhile is not what the hashes are of.
    this.provenance =
        new EngineProvenance(files, this.textEncoding, this.device, precision, vaeTiling);
    try {
      EncoderProvider encoders = EncoderProvider.find();
      backend = resources.add(this.device.open(threads));
      encoders = encoders.on(this.device);
      checkPrecision();
      loading.accept("UNet");
      unet = resources.add(files.loadUNet(backend, precision.dtype()));
      loading.accept("VAE");
      vae = resources.add(files.loadVae(backend, precision.dtype()));
      TextAdapter adapter = files.loadAdapter(backend);
      if (adapter != null) {
        resources.add(adapter);
      }
      prompts =
          resources.add(new PromptEncoder(encoders, files.textFiles(), adapter, backend, threads));
      executor = Executors.newCachedThreadPool(threadFactory());
      resources.add(executor::shutdown);
      resources.add(provenance::close);
    } catch (Throwable e) {
      resources.close();
      throw e;
    }
  }

  public static LongAlignBuilder builder() {
    return new LongAlignBuilder();
  }

  private static TextEncoding checked(ModelFiles files, TextEncoding wanted) {
    boolean adapted = files.adapter().isPresent();
    if (wanted == TextEncoding.LONGALIGN && !adapted) {
      throw new LongAlignException(
          files.model().path()
              + ": text encoding LONGALIGN needs a text adapter: expected one named or in adapter/,"
              + " found none; use SEGMENTS to do without");
    }
    return wanted != null ? wanted : adapted ? TextEncoding.LONGALIGN : TextEncoding.SEGMENTS;
  }

  private void checkPrecision() {
    if (!backend.supports(precision.dtype())) {
      throw new LongAlignException(
          "precision "
              + precision
              + ": "
              + backend.name()
              + " does not compute in it (a processor without AVX512-BF16 or AMX?); use f32");
    }
  }

  private static ThreadFactory threadFactory() {
    return work -> {
      Thread thread = new Thread(work, "longalign-sampler");
      thread.setDaemon(true);
      return thread;
    };
  }

  /** One picture with every default; blocks. */
  public SampleResult sample(String prompt) {
    return sample(SampleRequest.of(prompt));
  }

  /**
   * Samples on this thread.
   *
   * @throws LongAlignException if the request does not suit the model, or memory runs out; the
   *     engine stays usable
   */
  public SampleResult sample(SampleRequest request) {
    return newCall(request).execute();
  }

  public SampleCall newCall(SampleRequest request) {
    return newCall(request, ProgressListener.NONE);
  }

  /**
   * A call that can be run elsewhere, watched and cancelled.
   *
   * @throws LongAlignException if this model's noise schedule has not so many steps, or the
   *     strength leaves none of them
   */
  public SampleCall newCall(SampleRequest request, ProgressListener listener) {
    checkOpen();
    sampling(message -> {}).check(resolve(request));
    return new SampleCall(request, listener, this::run, executor);
  }

  /**
   * Samples one picture for each of many prompts on this thread, several at once through the
   * network: for models so small that one picture does not fill the machine.
   *
   * <p>One generator draws the noise of all pictures, one after the other. What comes out depends
   * on the order of the prompts, and with schedulers that draw noise between steps on the batch
   * size too.
   *
   * @param settings everything but the prompt; its seed is the generator's
   * @param onPictures is told how many pictures are done, now and then
   * @throws LongAlignException as {@link #sample(SampleRequest)}
   * @throws IllegalArgumentException if the settings name several seeds
   */
  public List<BufferedImage> sampleAll(
      List<String> prompts, SampleRequest settings, IntConsumer onPictures) {
    checkOpen();
    if (settings.images() != 1) {
      throw new IllegalArgumentException(
          "sampleAll: expected one seed for all prompts, found " + settings.seeds());
    }
    return whileOpen(() -> sampling(why -> {}).runAll(prompts, resolve(settings), onPictures));
  }

  private SampleResult run(
      SampleCall call,
      Consumer<SampleStep> onStep,
      Consumer<String> onTiles,
      Consumer<SampleResult> onPicture) {
    checkOpen();
    SampleRequest resolved = resolve(call.request());
    provenance.begin(backend);
    return whileOpen(
        () ->
            sampling(onTiles)
                .run(resolved, provenance::get, call::checkCancelled, onStep, onPicture));
  }

  private Sampling sampling(Consumer<String> onTiles) {
    return new Sampling(
        backend,
        new Denoiser(unet, turn),
        new PictureDecoder(vae, vaeTiling, onTiles),
        turn,
        files,
        vae.config().latentChannels(),
        vae.config().downscale(),
        this::encoding);
  }

  private <T> T whileOpen(Supplier<T> work) {
    try {
      return work.get();
    } catch (LongAlignException e) {
      if (closed) {
        throw new LongAlignException("this LongAlign was closed while the call ran", e);
      }
      throw e;
    }
  }

  private PromptEncoder.Encoding encoding(String prompt, Splitter splitter) {
    turn.lock();
    try {
      checkOpen();
      PromptEncoder.Encoding encoding =
          prompts.encode(prompt, textEncoding, splitter == Splitter.SENTENCES);
      if (!keepEncoders) {
        prompts.release();
      }
      return encoding;
    } finally {
      turn.unlock();
    }
  }

  /** The request with everything decided: what it leaves open is this model's own. */
  public SampleRequest resolve(SampleRequest request) {
    int side = nativeSize();
    boolean distilled = unet.hasGuidanceEmbedding() && request.guidanceScale().isEmpty();
    SampleRequest asked =
        distilled ? request.toBuilder().guidanceScale(DISTILLED_GUIDANCE_SCALE).build() : request;
    return asked.resolve(defaults, side, side);
  }

  /** What becomes of every token of a prompt; nothing is sampled. */
  public EncodingReport encode(String prompt, Splitter splitter) {
    checkOpen();
    return encoding(prompt, splitter).report();
  }

  /** Side of the pictures that the model was trained on, in pixels. */
  public int nativeSize() {
    return unet.config().sampleSize() * vae.config().downscale();
  }

  /** How prompts reach the UNet. */
  public TextEncoding textEncoding() {
    return textEncoding;
  }

  /**
   * What this engine was built from, as it goes into every PNG. The first call, or the first
   * picture, waits until the files are hashed: seconds for gigabytes that this machine has not seen
   * before, nothing later.
   */
  public Provenance provenance() {
    checkOpen();
    provenance.begin(backend);
    return provenance.get();
  }

  /** Native memory of the networks and of what is being sampled; the encoders' is not in it. */
  public MemoryUse memory() {
    return backend.memory();
  }

  /**
   * Closes the text encoders, whose memory goes back to the system; the next new prompt opens them
   * again.
   */
  public void releaseEncoders() {
    turn.lock();
    try {
      prompts.release();
      ProcessSettings.returnFreedMemory();
    } finally {
      turn.unlock();
    }
  }

  private void checkOpen() {
    if (closed) {
      throw new LongAlignException("this LongAlign is closed; build a new one");
    }
  }

  /**
   * Frees everything, to the system. Calls under way end at their next step. Closing twice has no
   * effect.
   */
  @Override
  public void close() {
    turn.lock();
    try {
      if (!closed) {
        closed = true;
        resources.close();
        ProcessSettings.returnFreedMemory();
      }
    } finally {
      turn.unlock();
    }
  }
}
