/**
 * How good a model of the panels world is: what its pictures show, what a preference model says of
 * them, and how well they are drawn.
 */
package dev.longalign.evaluation;
