/**
 * Training data: sources of pictures with captions, their preprocessing, batches in a reproducible
 * and resumable order, a cache of what was computed from them. An example that cannot be used is
 * skipped, counted and named; it stops nothing and is never silent.
 */
package dev.longalign.data;
