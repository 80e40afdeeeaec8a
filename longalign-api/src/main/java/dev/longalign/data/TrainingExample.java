package dev.longalign.data;

import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Tensor;
import java.util.List;
import java.util.Objects;

/**
 * A picture and the caption that describes it.
 *
 * @param id names the example for a person: the file and, where it holds many, the place in it
 * @param caption cleaned; empty only where the {@link CaptionPolicy} keeps empty ones
 * @param droppedWords words at the end of an extremely long caption that the policy cut; mostly 0
 * @param picture in the size of the file until a {@link PicturePreprocessing} has seen it
 */
public record TrainingExample(String id, String caption, int droppedWords, RgbPicture picture) {
  public TrainingExample {
    Objects.requireNonNull(id, "id");
    Objects.requireNonNull(caption, "caption");
    Objects.requireNonNull(picture, "picture");
  }

  /** An example with its whole caption. */
  public TrainingExample(String id, String caption, RgbPicture picture) {
    this(id, caption, 0, picture);
  }

  /** The same example with another picture. */
  public TrainingExample with(RgbPicture other) {
    return new TrainingExample(id, caption, droppedWords, other);
  }

  /** The pictures of a batch, which are of one size: [B, height, width, 3], f32 in [-1, 1]. */
  public static Tensor pictures(Backend backend, List<TrainingExample> batch) {
    return RgbPicture.toTensor(backend, batch.stream().map(TrainingExample::picture).toList());
  }

  /** The captions of a batch. */
  public static List<String> captions(List<TrainingExample> batch) {
    return batch.stream().map(TrainingExample::caption).toList();
  }
}
