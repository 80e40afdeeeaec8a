package dev.longalign;

import dev.longalign.io.PictureFile;
import dev.longalign.io.Reasons;
import dev.longalign.text.EncodingReport;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Pictures and how they came about.
 *
 * @param images one per seed, RGB; none where they were handed over one by one ({@link
 *     SampleCall#execute(java.util.function.Consumer)})
 * @param request the request with everything decided ({@link SampleRequest#resolve})
 * @param encoding what became of every token of the prompt
 * @param provenance what made the pictures
 * @param timings where the time went
 * @param tiled whether a picture went through the autoencoder in tiles ({@link
 *     dev.longalign.pipeline.VaeTiling})
 */
public record SampleResult(
    List<BufferedImage> images,
    SampleRequest request,
    EncodingReport encoding,
    Provenance provenance,
    SampleTimings timings,
    boolean tiled) {

  public SampleResult {
    images = List.copyOf(images);
    if (!images.isEmpty() && images.size() != request.images()) {
      throw new IllegalArgumentException(
          "expected a picture for each of " + request.images() + " seeds, found " + images.size());
    }
  }

  /** The first picture. */
  public BufferedImage image() {
    return image(0);
  }

  private BufferedImage image(int index) {
    if (images.isEmpty()) {
      throw new IllegalStateException(
          "expected pictures, found none: they were handed over one by one");
    }
    return images.get(index);
  }

  public List<Long> seeds() {
    return request.seeds();
  }

  /**
   * Writes the only picture as a PNG with its settings inside.
   *
   * @throws LongAlignException if there are several, or the file cannot be written; no half file
   *     stays
   */
  public void save(Path png) {
    if (images.size() > 1) {
      throw new LongAlignException(
          png + ": expected one picture, found " + images.size() + "; use saveAll(directory)");
    }
    save(0, png);
  }

  /** Writes one of the pictures, counted from 0, as a PNG with its settings inside. */
  public void save(int index, Path png) {
    PictureFile.writePng(
        png, image(index), PictureSettings.chunks(request, request.seeds().get(index), provenance));
  }

  /**
   * Writes every picture as {@code 00.png}, {@code 01.png}, ... into a directory, made if need be.
   *
   * @return the files, in the order of the seeds
   */
  public List<Path> saveAll(Path directory) {
    try {
      Files.createDirectories(directory);
    } catch (IOException e) {
      throw new LongAlignException(
          directory + ": expected a directory, and it cannot be made: " + Reasons.of(e), e);
    }
    List<Path> files = new ArrayList<>();
    for (int i = 0; i < images.size(); i++) {
      Path file = directory.resolve(String.format(Locale.ROOT, "%02d.png", i));
      save(i, file);
      files.add(file);
    }
    return files;
  }
}
