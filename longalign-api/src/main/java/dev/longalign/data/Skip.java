package dev.longalign.data;

/**
 * An example that could not be used.
 *
 * @param epoch in which it was met
 * @param index of the example in its {@link Dataset}
 * @param reason names the example and says what is wrong with it
 */
public record Skip(long epoch, long index, String reason) {}
