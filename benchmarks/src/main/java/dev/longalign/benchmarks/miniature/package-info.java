/**
 * The paper in miniature: the experiments of LongAlign on the panels world, with the embedded model
 * as the base. They report what comes out.
 */
package dev.longalign.benchmarks.miniature;
