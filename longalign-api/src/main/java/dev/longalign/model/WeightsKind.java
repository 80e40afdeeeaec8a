package dev.longalign.model;

import dev.longalign.io.StoredTensor;
import dev.longalign.io.TensorFile;
import dev.longalign.tensor.Shape;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * What a file of weights is, by the names and shapes of its tensors: also kinds that this library
 * does not read, so that every reader can say what it was given. In the order in which they are
 * looked for.
 */
public enum WeightsKind {
  LOHA("a LoHa (LyCORIS)", Use.OTHER_ADAPTER, any(".hada_w1_", ".hada_w2_", "hada_t1")),
  LOKR("a LoKr (LyCORIS)", Use.OTHER_ADAPTER, any(".lokr_w1", ".lokr_w2", ".lokr_t2")),
  DORA("a DoRA", Use.OTHER_ADAPTER, any(".dora_scale", "lora_magnitude_vector")),
  OFT("an OFT or BOFT", Use.OTHER_ADAPTER, any(".oft_", ".boft_", "oft_blocks", "oft_diag")),
  IA3("an (IA)3", Use.OTHER_ADAPTER, any(".ia3_l", ".on_input")),
  GLORA("a GLoRA (LyCORIS)", Use.OTHER_ADAPTER, any(".a1.weight", ".b1.weight")),
  VERA("a VeRA", Use.OTHER_ADAPTER, any("vera_lambda_")),
  DIFFERENCES(
      "whole differences of weights (LyCORIS full, .diff)",
      Use.OTHER_ADAPTER,
      ends(".diff", ".diff_b", ".w_norm", ".b_norm")),
  CONTROL_LORA("a Control-LoRA", Use.OTHER_ADAPTER, any("lora_controlnet")),
  LORA_SDXL(
      "a LoRA for Stable Diffusion XL", Use.OTHER_MODEL, lora(any("lora_te2_", "text_encoder_2."))),
  LORA_FLUX(
      "a LoRA for Flux",
      Use.OTHER_MODEL,
      lora(any("double_blocks", "single_blocks", "single_transformer_blocks"))),
  LORA_SD3("a LoRA for Stable Diffusion 3", Use.OTHER_MODEL, lora(any("joint_blocks"))),
  LORA_TRANSFORMER(
      "a LoRA for a diffusion transformer",
      Use.OTHER_MODEL,
      lora(begins("transformer.", "lora_transformer_"))),
  LORA_KOHYA("LoRA, kohya's names (lora_unet_...)", Use.LORA, any("lora_unet_", "lora_te")),
  LORA_PEFT("LoRA, PEFT's names (lora_A, lora_B)", Use.LORA, any(".lora_A.")),
  LORA_DIFFUSERS(
      "LoRA, diffusers' names (lora.up, lora.down)",
      Use.LORA,
      any(".lora.up.", "_lora.up.", "lora_linear_layer", ".lora_up.")),
  LORA_LIST("LoRA as a bare list [up, down, ...]: LongAlign's own", Use.LORA, WeightsKind::isPairs),
  TEXTUAL_INVERSION(
      "a textual inversion (an embedding for a prompt)",
      Use.OTHER_ADAPTER,
      begins("string_to_param.", "emb_params", "clip_l", "clip_g")),
  IP_ADAPTER("an IP-Adapter", Use.OTHER_ADAPTER, begins("ip_adapter.", "image_proj.")),
  CONTROL_NET(
      "a ControlNet",
      Use.OTHER_ADAPTER,
      begins("control_model.", "controlnet_cond_embedding.", "controlnet_down_blocks.")),
  T2I_ADAPTER("a T2I-Adapter", Use.OTHER_ADAPTER, begins("adapter.body.", "body.0.")),
  MOTION_MODULE("an AnimateDiff motion module", Use.OTHER_ADAPTER, any("motion_modules.")),
  HYPERNETWORK("a hypernetwork", Use.OTHER_ADAPTER, begins("768.", "320.", "640.", "1280.")),
  SDXL_REFINER("a Stable Diffusion XL refiner", Use.OTHER_MODEL, WeightsKind::isRefiner),
  SDXL(
      "a Stable Diffusion XL model",
      Use.OTHER_MODEL,
      begins("conditioner.embedders.", "model.diffusion_model.label_emb.", "add_embedding.")),
  SD3("a Stable Diffusion 3 model", Use.OTHER_MODEL, any("joint_blocks.")),
  FLUX("a Flux model", Use.OTHER_MODEL, any("double_blocks.")),
  SD2(
      "a Stable Diffusion 2.x model (OpenCLIP's text encoder)",
      Use.OTHER_MODEL,
      begins("cond_stage_model.model.")),
  CASCADE("a Stable Cascade model", Use.OTHER_MODEL, any("clip_txt_pooled_mapper.")),
  INPAINTING("an inpainting model (a UNet of 9 input channels)", Use.OTHER_MODEL, channels(9)),
  PIX_TO_PIX("an InstructPix2Pix model (a UNet of 8 input channels)", Use.OTHER_MODEL, channels(8)),
  UPSCALER("an upscaler (a UNet of 7 input channels)", Use.OTHER_MODEL, channels(7)),
  DEPTH("a depth-to-image model (a UNet of 5 input channels)", Use.OTHER_MODEL, channels(5)),
  SD2_UNET(
      "a Stable Diffusion 2.x UNet under its original names",
      Use.OTHER_MODEL,
      file -> originalTextWidth(file) == 1024),
  CHECKPOINT("a whole checkpoint in one file", Use.CHECKPOINT, begins("model.diffusion_model.")),
  UNET("UNet weights", Use.PART, all("conv_in.weight", "time_embedding.linear_1.weight")),
  VAE("VAE weights", Use.PART, all("decoder.conv_in.weight")),
  CLIP("CLIP weights", Use.PART, any("text_model.encoder.")),
  T5("T5 weights", Use.PART, any(".SelfAttention.relative_attention_bias.")),
  ADAPTER("text adapter weights", Use.PART, all("ff1.net.0.proj.weight")),
  OPEN_CLIP("CLIP weights, open_clip's names", Use.PART, all("visual.conv1.weight")),
  TRANSFORMER(
      "a diffusion transformer (no UNet)",
      Use.OTHER_MODEL,
      begins("transformer_blocks.0.", "single_transformer_blocks.0.", "x_embedder.")),
  TENSORS("tensors", Use.UNKNOWN, file -> true);

  /** Names beyond these are not looked at: no model has as many. */
  private static final int MAX_NAMES = 50_000;

  /** What can be done with a file. */
  public enum Use {
    /** Read by {@link Lora#read}. */
    LORA,
    /** Changes a model, but not as a LoRA does; not read. */
    OTHER_ADAPTER,
    /** Made into a diffusers directory by {@code longalign convert}. */
    CHECKPOINT,
    /** A part of a diffusers directory. */
    PART,
    /** Belongs to a model of another kind; not read. */
    OTHER_MODEL,
    UNKNOWN
  }

  private final String label;
  private final Use use;

  @SuppressWarnings("ImmutableEnumChecker") // they capture names only
  private final Predicate<TensorFile> test;

  WeightsKind(String label, Use use, Predicate<TensorFile> test) {
    this.label = label;
    this.use = use;
    this.test = test;
  }

  /**
   * @param file unwrapped, see {@link dev.longalign.io.StateDict}
   */
  public static WeightsKind of(TensorFile file) {
    return Stream.of(values()).filter(kind -> kind.test.test(file)).findFirst().orElseThrow();
  }

  /** For a message, in words. */
  public String label() {
    return label;
  }

  public Use use() {
    return use;
  }

  /** Why a file of this kind cannot be used, and what to do; empty if it can. */
  public String refusal() {
    return switch (use) {
      case OTHER_ADAPTER ->
          label
              + ", which is not supported here; merge it into its model with the program that made"
              + " it, or use a LoRA of up and down factors";
      case OTHER_MODEL ->
          label + ", which is not supported here: expected one of Stable Diffusion 1.x";
      default -> "";
    };
  }

  private static Stream<String> names(TensorFile file) {
    return file.names().stream().limit(MAX_NAMES);
  }

  private static Predicate<TensorFile> any(String... parts) {
    return file -> names(file).anyMatch(name -> Stream.of(parts).anyMatch(name::contains));
  }

  private static Predicate<TensorFile> begins(String... parts) {
    return file -> names(file).anyMatch(name -> Stream.of(parts).anyMatch(name::startsWith));
  }

  private static Predicate<TensorFile> ends(String... parts) {
    return file -> names(file).anyMatch(name -> Stream.of(parts).anyMatch(name::endsWith));
  }

  private static Predicate<TensorFile> all(String... whole) {
    return file -> file.names().containsAll(List.of(whole));
  }

  private static Predicate<TensorFile> lora(Predicate<TensorFile> mark) {
    return any("lora_", ".lora.").and(mark);
  }

  private static Predicate<TensorFile> channels(int channels) {
    return file -> {
      for (String name :
          List.of("model.diffusion_model.input_blocks.0.0.weight", "conv_in.weight")) {
        Shape shape = shape(file, name);
        if (shape != null && shape.rank() == 4) {
          return shape.dim(1) == channels;
        }
      }
      return false;
    };
  }

  private static boolean isRefiner(TensorFile file) {
    return begins("conditioner.embedders.0.model.").test(file)
        && !begins("conditioner.embedders.1.").test(file);
  }

  /** The width of the text that a UNet of the original names reads, 0 if it is none. */
  private static long originalTextWidth(TensorFile file) {
    Shape keys =
        shape(
            file, "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight");
    return keys != null && keys.rank() == 2 ? keys.dim(1) : 0;
  }

  private static Shape shape(TensorFile file, String name) {
    return file.contains(name) && !file.unsupported().containsKey(name)
        ? file.tensor(name).shape()
        : null;
  }

  /** Up and down factors alternate and share their rank. */
  private static boolean isPairs(TensorFile file) {
    if (file.names().isEmpty()
        || file.names().size() % 2 != 0
        || !names(file).allMatch(name -> name.matches("\\d+"))) {
      return false;
    }
    List<StoredTensor> tensors = file.tensors();
    for (int i = 0; i + 1 < tensors.size(); i += 2) {
      Shape up = tensors.get(i).shape();
      Shape down = tensors.get(i + 1).shape();
      if (up.rank() < 2 || down.rank() < 2 || up.dim(1) != down.dim(0)) {
        return false;
      }
    }
    return true;
  }
}
