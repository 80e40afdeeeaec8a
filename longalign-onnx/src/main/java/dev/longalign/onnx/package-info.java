/**
 * Frozen encoders on ONNX Runtime. {@link dev.longalign.onnx.OnnxEncoderProvider} is found by the
 * library by itself; {@link dev.longalign.onnx.OnnxTextEncoder} may be used alone.
 */
package dev.longalign.onnx;
