package dev.longalign.preference;

import dev.longalign.io.Config;
import dev.longalign.io.ResampleFilter;
import dev.longalign.preference.PictureProcessor.Fit;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * Reads how a preference model's own processor prepares pictures. What it cannot do is refused by
 * its key.
 */
public final class PictureProcessorConfig {
  private static final List<Float> CLIP_MEAN = List.of(0.48145466f, 0.4578275f, 0.40821073f);
  private static final List<Float> CLIP_STD = List.of(0.26862954f, 0.26130258f, 0.27577711f);

  /** Of no effect on the result, or handled before: pictures are RGB when they come here. */
  private static final Set<String> INERT =
      Set.of(
          "do_convert_rgb",
          "feature_extractor_type",
          "processor_class",
          "_valid_processor_keys",
          "data_format",
          "input_data_format",
          "return_tensors",
          "device",
          "disable_grouping",
          "auto_map",
          "image_seq_length",
          "default_to_square");

  private static final Set<String> READ =
      Set.of(
          "image_processor_type",
          "do_resize",
          "size",
          "resample",
          "do_center_crop",
          "crop_size",
          "do_rescale",
          "rescale_factor",
          "do_normalize",
          "image_mean",
          "image_std");

  private PictureProcessorConfig() {}

  /**
   * Of a CLIPModel's directory: preprocessor_config.json, else the part of processor_config.json
   * that transformers 5 writes, else CLIP's processor for the model's size.
   *
   * @param size rows and columns that the model reads
   */
  public static PictureProcessor read(Path directory, int size) {
    Path file = directory.resolve("preprocessor_config.json");
    Path newer = directory.resolve("processor_config.json");
    if (Files.isRegularFile(file)) {
      return clip(Config.read(file), size);
    } else if (Files.isRegularFile(newer) && Config.read(newer).has("image_processor")) {
      return clip(Config.read(newer).getConfig("image_processor"), size);
    }
    return openClip(Config.parse(directory.toString(), "{}"), size);
  }

  private static PictureProcessor clip(Config config, int size) {
    for (String key : config.keys()) {
      boolean off =
          !config.has(key)
              || config.json().get(key).isJsonPrimitive()
                  && config.json().get(key).getAsString().equals("false");
      if (!READ.contains(key) && !INERT.contains(key) && !off) {
        throw config.refusal(key, "only what CLIPImageProcessor has");
      }
    }
    String type = config.getString("image_processor_type", "CLIPImageProcessor");
    if (!type.matches("CLIP(ImageProcessor(Fast|Pil)?|FeatureExtractor)")) {
      throw config.refusal("image_processor_type", "CLIPImageProcessor");
    }
    boolean crop = config.getBoolean("do_center_crop", true);
    if (crop) {
      int[] cropped = sides(config, "crop_size", size);
      if (cropped[0] != size || cropped[1] != size) {
        throw config.refusal("crop_size", "the " + size + " pixels that the model reads");
      }
    }
    Fit fit = Fit.NONE;
    int[] sides = {size, size};
    if (config.getBoolean("do_resize", true)) {
      boolean number = config.has("size") && config.json().get("size").isJsonPrimitive();
      boolean shortest =
          !config.has("size") || number || config.getConfig("size").has("shortest_edge");
      fit = shortest ? Fit.SHORTEST : Fit.EXACT;
      sides = sides(config, "size", size);
      if (!crop && !shortest && (sides[0] != size || sides[1] != size)) {
        throw config.refusal("size", "the " + size + " pixels that the model reads");
      }
    }
    boolean normalize = config.getBoolean("do_normalize", true);
    boolean rescale = config.getBoolean("do_rescale", true);
    return new PictureProcessor(
        size,
        fit,
        sides[0],
        sides[1],
        filter(config),
        true,
        crop,
        false,
        0,
        rescale ? config.getDouble("rescale_factor", 1 / 255.0) : 1,
        normalize ? statistics(config, "image_mean", CLIP_MEAN) : Collections.nCopies(3, 0f),
        normalize ? statistics(config, "image_std", CLIP_STD) : Collections.nCopies(3, 1f));
  }

  /** Rows and columns: a number, {@code shortest_edge}, or {@code height} and {@code width}. */
  private static int[] sides(Config config, String key, int absent) {
    if (!config.has(key)) {
      return new int[] {absent, absent};
    } else if (config.json().get(key).isJsonPrimitive()) {
      return new int[] {positive(config, key), positive(config, key)};
    }
    Config sides = config.getConfig(key);
    boolean shortest = sides.has("shortest_edge");
    for (String name : sides.keys()) {
      if (!(shortest ? Set.of("shortest_edge") : Set.of("height", "width")).contains(name)) {
        throw sides.refusal(name, "shortest_edge, or height and width");
      }
    }
    return shortest
        ? new int[] {positive(sides, "shortest_edge"), positive(sides, "shortest_edge")}
        : new int[] {positive(sides, "height"), positive(sides, "width")};
  }

  private static int positive(Config config, String key) {
    int value = config.getInt(key);
    if (value < 1 || value > 1 << 14) {
      throw config.refusal(key, "a number of pixels");
    }
    return value;
  }

  private static ResampleFilter filter(Config config) {
    return switch (config.getInt("resample", 3)) {
      case 1 -> ResampleFilter.LANCZOS;
      case 2 -> ResampleFilter.BILINEAR;
      case 3 -> ResampleFilter.BICUBIC;
      case 4 -> ResampleFilter.BOX;
      case 5 -> ResampleFilter.HAMMING;
      default -> throw config.refusal("resample", "1 to 5, Pillow's filters but the nearest pixel");
    };
  }

  /**
   * open_clip's, by {@code preprocess_cfg}; what it does not name is open_clip's default.
   *
   * @param size rows and columns that the model reads
   */
  public static PictureProcessor openClip(Config config, int size) {
    String mode = config.getString("resize_mode", "shortest");
    Fit fit =
        switch (mode) {
          case "shortest" -> Fit.SHORTEST;
          case "longest" -> Fit.LONGEST;
          case "squash" -> Fit.EXACT;
          default -> throw config.refusal("resize_mode", "shortest, longest or squash");
        };
    if (!config.getString("mode", "RGB").equals("RGB")) {
      throw config.refusal("mode", "RGB");
    }
    if (config.has("size")) {
      for (int side :
          config.isList("size") ? config.getIntList("size") : List.of(config.getInt("size"))) {
        if (side != size) {
          throw config.refusal("size", "the " + size + " pixels that the model reads");
        }
      }
    }
    String interpolation = config.getString("interpolation", "bicubic").toLowerCase(Locale.ROOT);
    if (!Set.of("bicubic", "bilinear", "random").contains(interpolation)) {
      throw config.refusal("interpolation", "bicubic, bilinear or random");
    }
    int fill = config.getInt("fill_color", 0);
    if (fill < 0 || fill > 255) {
      throw config.refusal("fill_color", "0 to 255");
    }
    return new PictureProcessor(
        size,
        fit,
        size,
        size,
        interpolation.equals("bilinear") ? ResampleFilter.BILINEAR : ResampleFilter.BICUBIC,
        true,
        fit != Fit.EXACT,
        true,
        fill,
        1 / 255.0,
        statistics(config, "mean", CLIP_MEAN),
        statistics(config, "std", CLIP_STD));
  }

  /**
   * What HPSv2's own code does (xswu/HPSv2, torchvision from 0.17 on): a float picture, bicubic,
   * its longer side as the model reads, the rest black.
   *
   * @param size rows and columns that the model reads
   */
  public static PictureProcessor hpsV2(int size) {
    return new PictureProcessor(
        size,
        Fit.LONGEST,
        size,
        size,
        ResampleFilter.BICUBIC,
        false,
        true,
        true,
        0,
        1 / 255.0,
        CLIP_MEAN,
        CLIP_STD);
  }

  private static List<Float> statistics(Config config, String key, List<Float> absent) {
    if (!config.has(key)) {
      return absent;
    }
    List<Float> values =
        config.isList(key)
            ? config.getDoubleList(key).stream().map(Double::floatValue).toList()
            : Collections.nCopies(3, config.getFloat(key));
    boolean deviation = key.endsWith("std");
    if (values.size() != 3
        || values.stream().anyMatch(v -> !Float.isFinite(v) || deviation && !(v > 0))) {
      throw config.refusal(key, "three numbers for red, green and blue");
    }
    return values;
  }
}
