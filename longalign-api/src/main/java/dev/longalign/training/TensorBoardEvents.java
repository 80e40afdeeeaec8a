package dev.longalign.training;

import dev.longalign.LongAlignException;
import dev.longalign.io.PictureFile;
import dev.longalign.io.Reasons;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import java.util.zip.CRC32C;

/**
 * Writes what TensorBoard shows: scalars of every step and the pictures of validations, into {@code
 * events.out.tfevents.<time>.longalign}. A resumed run begins another file, whose session start
 * tells TensorBoard to forget the steps that are made again.
 *
 * <pre>{@code
 * trainer.listen(new TensorBoardEvents(run));        // tensorboard --logdir run
 * }</pre>
 *
 * The format is that of TensorFlow's event files: protobuf messages ({@code event.proto}, {@code
 * summary.proto}) in TFRecords, each with masked CRC-32C sums of its length and content. A record
 * is with the operating system before the next step begins. If a file cannot be written, that is
 * warned of once and training goes on.
 */
public final class TensorBoardEvents implements TrainingListener {
  private static final String PREFIX = "events.out.tfevents.";
  private static final String SUFFIX = ".longalign";
  private static final String VERSION = "brain.Event:2";
  private static final int RGB = 3;

  // Fields of event.proto and summary.proto.
  private static final int EVENT_WALL_TIME = 1;
  private static final int EVENT_STEP = 2;
  private static final int EVENT_FILE_VERSION = 3;
  private static final int EVENT_SUMMARY = 5;
  private static final int EVENT_SESSION_LOG = 7;
  private static final int SESSION_STATUS = 1;
  private static final int SESSION_START = 1;
  private static final int SUMMARY_VALUE = 1;
  private static final int VALUE_TAG = 1;
  private static final int VALUE_SCALAR = 2;
  private static final int VALUE_IMAGE = 4;
  private static final int IMAGE_HEIGHT = 1;
  private static final int IMAGE_WIDTH = 2;
  private static final int IMAGE_COLORSPACE = 3;
  private static final int IMAGE_ENCODED = 4;

  private final Path run;
  private final Clock clock;
  private EventFile out;

  /**
   * @param run the directory that the files are in
   */
  public TensorBoardEvents(Path run) {
    this(run, Clock.systemUTC());
  }

  TensorBoardEvents(Path run, Clock clock) {
    this.run = run;
    this.clock = clock;
  }

  @Override
  public void onStart(long step) {
    out =
        new EventFile(
            run.resolve(PREFIX + String.format(Locale.ROOT, "%010d", time()) + SUFFIX), 0);
    write(event(0).text(EVENT_FILE_VERSION, VERSION));
    // Of steps from this one on TensorBoard shows what comes after the session's start only.
    write(
        event(step + 1)
            .message(EVENT_SESSION_LOG, new ProtoMessage().integer(SESSION_STATUS, SESSION_START)));
  }

  /** In seconds; later than all files there, because TensorBoard reads them in the names' order. */
  private long time() {
    long time = clock.instant().getEpochSecond();
    if (!Files.isDirectory(run)) {
      return time;
    }
    try (Stream<Path> files = Files.list(run)) {
      return Math.max(
          time,
          1
              + files
                  .map(file -> file.getFileName().toString())
                  .filter(name -> name.matches("events\\.out\\.tfevents\\.[0-9]{10}.*"))
                  .mapToLong(
                      name -> Long.parseLong(name.substring(PREFIX.length(), PREFIX.length() + 10)))
                  .max()
                  .orElse(0));
    } catch (IOException e) {
      throw new LongAlignException(run + ": cannot be listed (" + Reasons.of(e) + ")", e);
    }
  }

  @Override
  public void onStep(StepReport step) {
    ProtoMessage summary = new ProtoMessage();
    scalar(summary, "train/loss", step.loss());
    scalar(summary, "train/smoothed_loss", step.smoothedLoss());
    scalar(summary, "train/gradient_norm", step.gradientNorm());
    scalar(summary, "train/learning_rate", step.learningRate());
    scalar(summary, "speed/pictures_per_second", step.picturesPerSecond());
    scalar(summary, "memory/now", step.memoryBytes());
    scalar(summary, "memory/peak", step.peakBytes());
    write(event(step.step()).message(EVENT_SUMMARY, summary));
  }

  @Override
  public void onValidated(ValidationReport report) {
    ProtoMessage summary = new ProtoMessage();
    report.values().forEach((name, value) -> scalar(summary, "validation/" + name, value));
    for (ValidationReport.Picture picture : report.pictures()) {
      BufferedImage image = picture.image();
      ProtoMessage message =
          new ProtoMessage()
              .integer(IMAGE_HEIGHT, image.getHeight())
              .integer(IMAGE_WIDTH, image.getWidth())
              .integer(IMAGE_COLORSPACE, RGB)
              .bytes(IMAGE_ENCODED, PictureFile.png(image, Map.of()));
      summary.message(
          SUMMARY_VALUE,
          new ProtoMessage()
              .text(VALUE_TAG, "validation/" + picture.name())
              .message(VALUE_IMAGE, message));
    }
    write(event(report.step()).message(EVENT_SUMMARY, summary));
  }

  private static void scalar(ProtoMessage summary, String tag, double value) {
    summary.message(
        SUMMARY_VALUE, new ProtoMessage().text(VALUE_TAG, tag).real(VALUE_SCALAR, (float) value));
  }

  private ProtoMessage event(long step) {
    return new ProtoMessage().real(EVENT_WALL_TIME, clock.millis() / 1e3).integer(EVENT_STEP, step);
  }

  private void write(ProtoMessage event) {
    out.append(record(event.toBytes()));
  }

  // ---- TFRecord: length, its sum, content, its sum

  private static byte[] record(byte[] content) {
    ByteBuffer record =
        ByteBuffer.allocate(Long.BYTES + content.length + 2 * Integer.BYTES)
            .order(ByteOrder.LITTLE_ENDIAN);
    record.putLong(content.length);
    record.putInt(maskedSum(record.array(), 0, Long.BYTES));
    record.put(content);
    record.putInt(maskedSum(record.array(), Long.BYTES + Integer.BYTES, content.length));
    return record.array();
  }

  /** Masked, because a sum of data with its own sum in it says little. */
  private static int maskedSum(byte[] bytes, int from, int count) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, from, count);
    int sum = (int) crc.getValue();
    return Integer.rotateRight(sum, 15) + 0xa282ead8;
  }
}
