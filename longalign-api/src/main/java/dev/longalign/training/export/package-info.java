/**
 * What becomes of a training: files for this library, for the reference, for other programs, and a
 * model card that says where they come from.
 */
package dev.longalign.training.export;
