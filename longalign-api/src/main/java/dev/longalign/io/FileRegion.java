package dev.longalign.io;

import java.nio.file.Path;

/**
 * Where the bytes of a tensor lie in a file, for readers that want them in place (ONNX external
 * data).
 *
 * @param offset from the start of the file, in bytes
 * @param length in bytes
 */
public record FileRegion(Path file, long offset, long length) {}
