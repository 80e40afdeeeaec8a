/**
 * Models as ONNX graphs, written node by node from a config and a checkpoint, without Python and
 * without a copy of the weights: {@link dev.longalign.onnx.graph.OnnxGraph} is the builder, {@link
 * dev.longalign.onnx.graph.GraphOps} the operators, {@link dev.longalign.onnx.graph.GraphWeights}
 * the checked way from a checkpoint into a graph.
 */
package dev.longalign.onnx.graph;
