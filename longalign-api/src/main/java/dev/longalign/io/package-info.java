/**
 * Files: safetensors and torch weights, diffusers directories, their JSON configs, and pictures
 * with text chunks. Every reader checks what a file claims against what it holds before anything is
 * allocated, nothing in a file is ever executed, and every writer writes beside its target and
 * renames, so that no half file is left behind.
 */
package dev.longalign.io;
