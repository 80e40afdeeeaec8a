package dev.longalign.tensor;

/**
 * Native memory of a backend, in bytes.
 *
 * @param live held by open scopes
 * @param peak the largest {@code live + cached} since the backend was opened or the peak was reset
 * @param cached freed by scopes and kept for reuse
 */
public record MemoryUse(long live, long peak, long cached) {}
