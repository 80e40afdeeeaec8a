package dev.longalign;

import dev.longalign.io.ContentHashes;
import dev.longalign.pipeline.ModelFiles;
import dev.longalign.pipeline.ModelPart;
import dev.longalign.pipeline.TextEncoding;
import dev.longalign.pipeline.VaeTiling;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Device;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What an engine was built from. Hashing gigabytes takes seconds, the first time: it is done beside
 * the first picture, and waited for when that is finished.
 */
final class EngineProvenance {
  private static final Logger LOG = LoggerFactory.getLogger(EngineProvenance.class);

  /** A part as it was when the engine read it. */
  private record Read(ModelPart part, String stamp) {
    static Read of(ModelPart part) {
      return new Read(part, part.stamp());
    }

    Provenance.Part hashed(ContentHashes hashes) {
      String name = part.name();
      try {
        String sha256 = hashes.of(part.path(), part.files());
        if (part.stamp().equals(stamp)) {
          return new Provenance.Part(name, Optional.of(sha256));
        }
        LOG.warn("{} has changed since it was opened; pictures will not carry its hash", name);
      } catch (LongAlignException gone) {
        if (Thread.currentThread().isInterrupted()) {
          throw gone; // the engine is being closed
        }
        LOG.warn("pictures will not carry the hash of {}: {}", name, gone.getMessage());
      }
      return new Provenance.Part(name, Optional.empty());
    }
  }

  private record ReadLora(Read file, float scale) {}

  private final Read model;
  private final Optional<Read> adapter;
  private final Optional<Read> t5;
  private final List<ReadLora> loras = new ArrayList<>();
  private final TextEncoding encoding;
  private final Device device;
  private final Precision precision;
  private final boolean tiled;
  private FutureTask<Provenance> found;

  EngineProvenance(
      ModelFiles files,
      TextEncoding encoding,
      Device device,
      Precision precision,
      VaeTiling vaeTiling) {
    model = Read.of(ModelPart.model(files.model().path()));
    boolean adapted = encoding == TextEncoding.LONGALIGN;
    adapter = files.adapter().filter(path -> adapted).map(ModelPart::of).map(Read::of);
    t5 = files.t5().filter(path -> adapted).map(ModelPart::of).map(Read::of);
    for (ModelFiles.LoraFile lora : files.loras()) {
      loras.add(new ReadLora(Read.of(ModelPart.of(lora.file())), lora.scale()));
    }
    this.encoding = encoding;
    this.device = device;
    this.precision = precision;
    this.tiled = vaeTiling == VaeTiling.ALWAYS;
  }

  /** Begins to hash on another thread. */
  synchronized void begin(Backend backend) {
    if (found == null) {
      String computes = backend.name();
      found = new FutureTask<>(() -> hashed(computes));
      Thread hashing = new Thread(found, "longalign-hashes");
      hashing.setDaemon(true);
      hashing.start();
    }
  }

  private Provenance hashed(String backend) {
    ContentHashes hashes = ContentHashes.in(EmbeddedModel.cacheRoot());
    return new Provenance(
        model.hashed(hashes),
        adapter.map(part -> part.hashed(hashes)),
        t5.map(part -> part.hashed(hashes)),
        loras.stream()
            .map(lora -> new Provenance.LoraPart(lora.file.hashed(hashes), lora.scale))
            .toList(),
        Optional.of(encoding),
        tiled,
        device.toString(),
        Optional.of(backend),
        precision.toString(),
        Provenance.thisSoftware());
  }

  /** Waits for the hashes. */
  Provenance get() {
    FutureTask<Provenance> task;
    synchronized (this) {
      task = found;
    }
    try {
      return task.get();
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new LongAlignException("interrupted while the model's files were hashed", interrupted);
    } catch (CancellationException closed) {
      throw new LongAlignException("this LongAlign was closed while the call ran", closed);
    } catch (ExecutionException failed) {
      throw new LongAlignException(
          "the model's files cannot be hashed: " + failed.getCause(), failed);
    }
  }

  /** Stops hashing. */
  synchronized void close() {
    if (found != null) {
      found.cancel(true);
    }
  }
}
