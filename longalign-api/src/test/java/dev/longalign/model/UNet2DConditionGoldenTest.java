package dev.longalign.model;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonElement;
import dev.longalign.nn.CrossAttention;
import dev.longalign.tensor.Activation;
import dev.longalign.tensor.Backend;
import dev.longalign.tensor.Golden;
import dev.longalign.tensor.Shape;
import dev.longalign.tensor.Tensor;
import dev.longalign.tensor.TensorScope;
import dev.longalign.tensor.Tolerance;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The UNet against the reference's forwards and inner activations. */
class UNet2DConditionGoldenTest {
  private static final Golden FORWARD = Golden.open("unet/forward");
  private static final Golden ACTIVATIONS = Golden.open("unet/activations");

  private static Backend backend;
  private static UNet2DCondition unet;

  @BeforeAll
  static void load() {
    backend = TestModels.backend();
    unet = TestModels.unet(backend);
  }

  @AfterAll
  static void closeEverything() {
    unet.close();
    assertThat(backend.memory().live()).as("bytes that no scope freed").isZero();
    backend.close();
  }

  @Test
  void predictsWhatTheReferencePredictsAtEveryTimestep() {
    try (TensorScope scope = TensorScope.open()) {
      PreparedContext context = unet.prepareContext(FORWARD.tensor(backend, "context"));
      Tensor sample = FORWARD.nhwc(backend, "sample");
      for (Map.Entry<String, JsonElement> entry :
          FORWARD.values().getAsJsonObject("timesteps").entrySet()) {
        Tensor out =
            entry.getValue().isJsonArray()
                ? unet.forward(sample, floats(entry.getValue()), context)
                : unet.forward(sample, entry.getValue().getAsFloat(), context);
        FORWARD.checkNhwc(Tolerance.F32, "out_" + entry.getKey(), out);
      }
    }
  }

  @Test
  void takesSidesThatAreNotMultiplesOfEight() {
    try (TensorScope scope = TensorScope.open()) {
      Tensor sample = FORWARD.nhwc(backend, "odd_sample");
      PreparedContext context = unet.prepareContext(FORWARD.tensor(backend, "context"));
      FORWARD.checkNhwc(Tolerance.F32, "odd_out", unet.forward(sample, 321, context.rows(0, 1)));
    }
  }

  @Test
  void blocksMakeTheActivationsOfTheReference() {
    Map<String, String> names = new HashMap<>();
    for (String name : new String[] {"time_embedding", "conv_in", "mid_block"}) {
      names.put(name, name);
    }
    for (int i = 0; i < unet.config().levels().size(); i++) {
      names.put("down_blocks." + i, "down_block_" + i);
      names.put("up_blocks." + i, "up_block_" + i);
    }
    try (TensorScope scope = TensorScope.open()) {
      PreparedContext context = unet.prepareContext(FORWARD.tensor(backend, "context"));
      Tensor sample = FORWARD.nhwc(backend, "sample");
      ActivationListener listener = (module, value) -> check(names.remove(module), value);
      Tensor out = unet.forward(sample, new float[] {500, 500}, context, listener);
      check("output", out);
    }
    assertThat(names).as("blocks that reported nothing").isEmpty();
  }

  @Test
  void layersOfTheFirstBlocksMakeTheActivationsOfTheReference() {
    try (TensorScope scope = TensorScope.open()) {
      PreparedContext context = unet.prepareContext(FORWARD.tensor(backend, "context"));
      Transformer2D transformer = unet.downBlocks.get(0).attentions.get(0);
      TransformerBlock block = transformer.blocks.get(0);
      Tensor time = ACTIVATIONS.tensor(backend, "time_embedding").activation(Activation.SILU);

      Tensor resnet0 =
          unet.downBlocks.get(0).resnets.get(0).forward(ACTIVATIONS.nhwc(backend, "conv_in"), time);
      check("resnet0", resnet0);

      Tensor x = transformer.projIn.forward(transformer.norm.forward(resnet0));
      x = x.reshape(x.dim(0), (long) x.dim(1) * x.dim(2), x.dim(3));
      Tensor normed = block.norm1.forward(x);
      CrossAttention.KeyValue self = block.attn1.prepare(normed);
      check("attn1_q", block.attn1.queries(normed));
      check("attn1_k", self.key());
      check("attn1_v", self.value());
      Tensor attn1 = block.attn1.forward(normed, null);
      check("attn1_out", attn1);

      x = x.add(attn1);
      normed = block.norm2.forward(x);
      check("attn2_q", block.attn2.queries(normed));
      Tensor attn2 = block.attn2.forward(normed, context.of(block.attn2), null);
      check("attn2_out", attn2);

      x = x.add(attn2);
      normed = block.norm3.forward(x);
      check("geglu", block.ff.geglu().forward(normed));
      check("ff_out", block.ff.forward(normed));
      check("transformer0", transformer.forward(resnet0, context));
      check(
          "conv_norm_out",
          unet.convNormOut.withoutActivation(ACTIVATIONS.nhwc(backend, "up_block_3")));
    }
  }

  private static void check(String name, Tensor value) {
    Shape shape = ACTIVATIONS.shape(name);
    if (shape.rank() == 4) {
      ACTIVATIONS.checkNhwc(Tolerance.F32, name, value);
    } else {
      ACTIVATIONS.check(Tolerance.F32, name, value);
    }
  }

  private static float[] floats(JsonElement array) {
    float[] values = new float[array.getAsJsonArray().size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.getAsJsonArray().get(i).getAsFloat();
    }
    return values;
  }
}
