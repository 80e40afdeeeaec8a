/**
 * How well pictures go with captions, according to CLIP-type preference models; the decomposition
 * of that score into a text-relevant and a text-irrelevant part, and its reweighting (LongAlign,
 * arXiv 2410.11817, sections 3.2 and 3.3).
 */
package dev.longalign.preference;
