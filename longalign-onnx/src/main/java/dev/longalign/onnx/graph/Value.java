package dev.longalign.onnx.graph;

import dev.longalign.tensor.DType;

/**
 * An edge of an {@link OnnxGraph}: what a node, an input or an initializer yields.
 *
 * @param name unique within its graph
 * @param dtype element type
 */
public record Value(String name, DType dtype) {}
