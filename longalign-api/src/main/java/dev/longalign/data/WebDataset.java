package dev.longalign.data;

import dev.longalign.LongAlignException;
import dev.longalign.io.Names;
import dev.longalign.io.TextFile;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.OptionalLong;

/**
 * Tar shards in WebDataset's layout: neighbours that share a name up to its first dot are one
 * sample, {@code 000017.jpg} and {@code 000017.txt} ({@code .caption}, or {@code .json}, an object
 * with the caption under a key); where that gives no sample, names end at the last dot, and a
 * picture and a caption of one name need not be neighbours. Files that belong to no sample are
 * counted and named in the log. The shards are scanned once, headers only, and then read at any
 * place, so they must not be compressed.
 *
 * <p>A shard that ends early or is damaged in the middle gives what lies before the damage; the
 * damage itself takes the place of one more example, so that it is skipped, counted and named like
 * any other.
 */
public final class WebDataset implements Dataset<TrainingExample> {
  private final List<TarShard> shards;
  private final long[] firsts;
  private final CaptionPolicy captions;
  private final String captionKey;

  private WebDataset(List<TarShard> shards, CaptionPolicy captions, String captionKey) {
    this.shards = shards;
    this.captions = Objects.requireNonNull(captions, "captions");
    this.captionKey = Objects.requireNonNull(captionKey, "captionKey");
    this.firsts = new long[shards.size() + 1];
    for (int i = 0; i < shards.size(); i++) {
      firsts[i + 1] = firsts[i] + shards.get(i).samples().size();
    }
  }

  /** Opens shards; JSON captions are under {@code caption}. */
  public static WebDataset open(List<Path> shards) {
    return open(shards, CaptionPolicy.DEFAULT, "caption");
  }

  /**
   * Opens shards, in the order given.
   *
   * @param captionKey where JSON files have the caption
   * @throws LongAlignException if a file is not there or is compressed, or if there is no sample in
   *     any
   */
  public static WebDataset open(List<Path> shards, CaptionPolicy captions, String captionKey) {
    List<TarShard> opened = new ArrayList<>();
    try {
      for (Path shard : shards) {
        opened.add(TarShard.open(shard));
      }
      WebDataset dataset = new WebDataset(List.copyOf(opened), captions, captionKey);
      if (opened.stream().noneMatch(TarShard::hasSamples)) {
        String found =
            opened.stream().flatMap(shard -> shard.damage().stream()).findFirst().orElse("");
        throw new LongAlignException(
            dataset.source() + ": no samples in it" + (found.isEmpty() ? "" : ": " + found));
      }
      return dataset;
    } catch (RuntimeException failed) {
      opened.forEach(TarShard::close);
      throw failed;
    }
  }

  @Override
  public OptionalLong size() {
    return OptionalLong.of(firsts[shards.size()]);
  }

  @Override
  public TrainingExample example(long index) {
    Objects.checkIndex(index, firsts[shards.size()]);
    int shard = 0;
    while (firsts[shard + 1] <= index) {
      shard++;
    }
    TarShard tar = shards.get(shard);
    TarSamples.Sample sample = tar.samples().get(Math.toIntExact(index - firsts[shard]));
    if (sample.damage() != null) {
      throw new LongAlignException(sample.damage());
    }
    String id = tar.path() + ":" + Names.printable(sample.key());
    if (sample.picture() == null) {
      throw new LongAlignException(
          id + ": no picture (.jpg, .png or .webp) of that name up to a dot");
    }
    String caption = caption(tar, sample, id);
    return captions.example(id, caption, () -> RgbPicture.read(id, tar.read(id, sample.picture())));
  }

  private String caption(TarShard tar, TarSamples.Sample sample, String id) {
    TarSamples.Member member = sample.text() == null ? sample.json() : sample.text();
    if (member == null) {
      throw new LongAlignException(
          id + ": no caption (.txt, .caption or .json) of that name up to a dot");
    }
    String text = TextFile.decode(ByteBuffer.wrap(tar.read(id, member)), id);
    return sample.text() == null ? ImageFolderDataset.captionOf(id, text, captionKey) : text;
  }

  @Override
  public String source() {
    if (shards.isEmpty()) {
      return "a list of no shards";
    }
    String first = shards.get(0).path().toString();
    return shards.size() == 1 ? first : first + " and " + (shards.size() - 1) + " more shards";
  }

  @Override
  public void close() {
    shards.forEach(TarShard::close);
  }
}
