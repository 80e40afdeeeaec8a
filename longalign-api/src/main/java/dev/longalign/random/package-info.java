/** Random numbers that agree with PyTorch's, so that one seed gives one picture in both. */
package dev.longalign.random;
