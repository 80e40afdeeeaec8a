// libnvrtc.so.12 over CUDA 13's NVRTC.
#define LIBRARY "libnvrtc.so.13"
#define MISSING 11  // NVRTC_ERROR_INTERNAL_ERROR
#include "forward.h"

typedef void* Program;

FORWARD(nvrtcVersion, (int* major, int* minor), (major, minor))
FORWARD(nvrtcCreateProgram,
        (Program * program, const char* source, const char* name, int headers, const char* const* contents,
         const char* const* names),
        (program, source, name, headers, contents, names))
FORWARD(nvrtcDestroyProgram, (Program * program), (program))
FORWARD(nvrtcCompileProgram, (Program program, int count, const char* const* options), (program, count, options))
FORWARD(nvrtcGetCUBINSize, (Program program, size_t* size), (program, size))
FORWARD(nvrtcGetCUBIN, (Program program, char* cubin), (program, cubin))
FORWARD(nvrtcGetProgramLogSize, (Program program, size_t* size), (program, size))
FORWARD(nvrtcGetProgramLog, (Program program, char* log), (program, log))
