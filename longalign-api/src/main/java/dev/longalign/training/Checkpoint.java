package dev.longalign.training;

import dev.longalign.data.DataPosition;
import dev.longalign.io.StoredTensor;
import java.util.List;
import java.util.Map;

/**
 * Everything that a run continues from.
 *
 * @param stage of the objective
 * @param step how many have been made
 * @param random state of the generator
 * @param dropout state of the dropout masks; 0 without dropout
 * @param position in the data; null before the first batch
 * @param loss smoothed
 * @param settings what the run was made of, see {@link RunIdentity}; empty if that is not known
 * @param tensors parameters, moments and averages, f32
 */
record Checkpoint(
    String stage,
    long step,
    byte[] random,
    long dropout,
    DataPosition position,
    MovingAverage loss,
    Map<String, String> settings,
    List<StoredTensor> tensors) {}
