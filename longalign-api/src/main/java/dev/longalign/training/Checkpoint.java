package dev.longalign.training;

import dev.longalign.data.DataPosition;
import dev.longalign.io.StoredTensor;
import java.util.List;

/**
 * Everything that a run continues from.
 *
 * @param stage of the objective
 * @param step how many have been made
 * @param random state of the generator
 * @param dropout state of the dropout masks; 0 without dropout
 * @param position in the data; null before the first batch
 * @param loss smoothed
 * @param tensors parameters, moments and averages, f32
 */
record Checkpoint(
    String stage,
    long step,
    byte[] random,
    long dropout,
    DataPosition position,
    MovingAverage loss,
    List<StoredTensor> tensors) {}
