package dev.longalign.tensor.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import dev.longalign.LongAlignException;
import dev.longalign.host.ProcessSettings;
import dev.longalign.tensor.DType;
import org.bytedeco.dnnl.dnnl_engine;
import org.bytedeco.dnnl.dnnl_stream;
import org.bytedeco.dnnl.dnnl_version_t;

/** The loaded oneDNN library: its engine, its stream, and what the processor offers. */
final class OneDnn {
  static final dnnl_engine ENGINE;
  static final dnnl_stream STREAM;

  static {
    ProcessSettings.apply();
    ENGINE = new dnnl_engine();
    STREAM = new dnnl_stream();
    check(dnnl_engine_create(ENGINE, dnnl_cpu, 0), "engine");
    check(dnnl_stream_create(STREAM, ENGINE, dnnl_stream_default_flags), "stream");
  }

  private OneDnn() {}

  /** For example {@code 3.11.0}. */
  static String version() {
    dnnl_version_t version = dnnl_version();
    return version.major() + "." + version.minor() + "." + version.patch();
  }

  /** Whether this processor multiplies bfloat16 numbers in hardware. */
  static boolean hasBf16() {
    int isa = dnnl_get_effective_cpu_isa();
    return (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
  }

  static int dataType(DType dtype) {
    return switch (dtype) {
      case F32 -> dnnl_f32;
      case BF16 -> dnnl_bf16;
      case F16 -> dnnl_f16;
      case U8 -> dnnl_u8;
      case I32 -> dnnl_s32;
      default ->
          throw new LongAlignException(
              "the CPU backend holds no " + dtype + " tensors; convert them to F32");
    };
  }

  static void check(int status, String what) {
    if (status != dnnl_success) {
      String reason =
          switch (status) {
            case dnnl_out_of_memory -> "out of memory";
            case dnnl_invalid_arguments -> "invalid arguments";
            case dnnl_unimplemented ->
                "not implemented for these shapes and types on this processor";
            default -> "status " + status;
          };
      throw new LongAlignException("oneDNN " + what + ": " + reason);
    }
  }
}
