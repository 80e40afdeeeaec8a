package dev.longalign.data.panels;

import dev.longalign.data.Dataset;
import dev.longalign.data.SplitMix64;
import dev.longalign.data.TrainingExample;
import java.util.Locale;
import java.util.Objects;
import java.util.OptionalLong;

/**
 * Examples of the panels world, made when asked for: a seed and an index give one scene, its
 * picture and its caption, always the same. Nothing is downloaded or stored.
 *
 * <pre>{@code
 * Dataset<TrainingExample> data = PanelsDataset.endless(Captions.LONG, 42);
 * }</pre>
 */
public final class PanelsDataset implements Dataset<TrainingExample> {
  /** What the scenes and captions are like. */
  public enum Captions {
    /** Five to nine objects, 80 to 200 tokens: more than CLIP's window holds. */
    LONG(5, 9, SceneWriter.Style.WORDY),

    /** One to four objects, tersely: mostly within CLIP's window. */
    SHORT(1, 4, SceneWriter.Style.TERSE),

    /** Of each kind about half. */
    MIXED(0, 0, null);

    private final int fewest;
    private final int most;
    private final SceneWriter.Style style;

    Captions(int fewest, int most, SceneWriter.Style style) {
      this.fewest = fewest;
      this.most = most;
      this.style = style;
    }
  }

  private final Captions captions;
  private final long seed;
  private final OptionalLong size;

  private PanelsDataset(Captions captions, long seed, OptionalLong size) {
    this.captions = Objects.requireNonNull(captions, "captions");
    this.seed = seed;
    this.size = size;
  }

  /** Examples without end. */
  public static PanelsDataset endless(Captions captions, long seed) {
    return new PanelsDataset(captions, seed, OptionalLong.empty());
  }

  /** The first examples of the endless dataset, to be seen in epochs. */
  public static PanelsDataset of(Captions captions, long seed, long size) {
    if (size < 1) {
      throw new IllegalArgumentException("size must be at least 1, found " + size);
    }
    return new PanelsDataset(captions, seed, OptionalLong.of(size));
  }

  @Override
  public OptionalLong size() {
    return size;
  }

  /** The scene behind an example, and its caption. */
  public CaptionedScene scene(long index) {
    Objects.checkIndex(index, size.orElse(Long.MAX_VALUE));
    SplitMix64 random = new SplitMix64(seed, index);
    Captions kind = captions;
    if (kind == Captions.MIXED) {
      kind = random.nextInt(2) == 0 ? Captions.LONG : Captions.SHORT;
    }
    Scene scene =
        SceneWriter.scene(random, kind.fewest + random.nextInt(kind.most - kind.fewest + 1));
    return new CaptionedScene(SceneWriter.caption(random, scene, kind.style), scene);
  }

  @Override
  public TrainingExample example(long index) {
    CaptionedScene captioned = scene(index);
    return new TrainingExample(
        source() + " " + index, captioned.caption(), PanelsWorld.render(captioned.scene()));
  }

  @Override
  public String source() {
    return "panels (" + captions.name().toLowerCase(Locale.ROOT) + ", seed " + seed + ")";
  }
}
