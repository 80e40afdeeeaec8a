package dev.longalign.tensor;

/**
 * What a backend fuses after a matrix product or a convolution: {@code y = activation(W x + bias +
 * channelBias) + residual}.
 *
 * @param activation applied before the residual
 * @param channelBias [B, C] or null: added per batch element and output channel (the time
 *     embedding)
 * @param residual a tensor of the result's shape and type, or null
 */
public record Epilogue(Activation activation, Tensor channelBias, Tensor residual) {
  public static final Epilogue NONE = new Epilogue(Activation.NONE, null, null);

  public static Epilogue activation(Activation activation) {
    return new Epilogue(activation, null, null);
  }

  public static Epilogue residual(Tensor residual) {
    return new Epilogue(Activation.NONE, null, residual);
  }

  public static Epilogue channelBias(Tensor channelBias) {
    return new Epilogue(Activation.NONE, channelBias, null);
  }
}
