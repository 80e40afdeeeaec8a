// The calls of the CUDA driver API that the CUDA backend makes, on the CPU. Work is done when it is enqueued, in the order
// of the calls, which every order that streams and events allow includes. A module is a shared library of kernels that
// g++ compiled (kernel.h). cuGetErrorString tells what the last failing launch or copy did wrong.
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "emulator.h"

using emulator::Entry;
using emulator::Launch;

namespace {

enum Result {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  NOT_INITIALIZED = 3,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  FILE_NOT_FOUND = 301,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_OUT_OF_RESOURCES = 701,
  LAUNCH_FAILED = 719,
};

std::mutex detailMutex;
std::string detail;
bool initialised = false;
thread_local void* current = nullptr;

int explain(int result, const std::string& text) {
  std::lock_guard<std::mutex> lock(detailMutex);
  detail = text;
  fprintf(stderr, "CUDA emulator: %s\n", text.c_str());
  return result;
}

struct Function {
  const Entry* entry;
  unsigned sharedLimit = emulator::SHARED_DEFAULT;
};

struct Module {
  void* library;
  std::map<std::string, Function*> functions;
};

struct Event {
  std::chrono::steady_clock::time_point time;
};

int device_context;  // its address is the primary context
int streams;         // likewise

int attribute(int which) {
  switch (which) {
    case 1: return 1024;                             // threads per block
    case 2: case 3: return 1024;                     // block x, y
    case 4: return 64;                               // block z
    case 5: return 2147483647;                       // grid x
    case 6: case 7: return 65535;                    // grid y, z
    case 8: return (int)emulator::SHARED_DEFAULT;    // shared memory per block
    case 10: return 32;                              // warp
    case 12: return 65536;                           // registers per block
    case 13: return 1000000;                         // kHz
    case 16: return 2;                               // multiprocessors
    case 39: return 1536;                            // threads per multiprocessor
    case 75: return 8;                               // compute capability 8.6
    case 76: return 6;
    case 81: return (int)emulator::SHARED_LIMIT + 1024;  // shared memory per multiprocessor
    case 97: return (int)emulator::SHARED_LIMIT;     // shared memory per block, when asked for
    case 115: return 1;                              // memory pools
    default: return 0;
  }
}

}  // namespace

extern "C" {

int cuInit(unsigned flags) {
  initialised = true;
  return flags == 0 ? SUCCESS : INVALID_VALUE;
}
int cuDriverGetVersion(int* version) {
  const char* text = getenv("LONGALIGN_EMULATOR_DRIVER");
  *version = text ? atoi(text) : 12060;
  return SUCCESS;
}

int cuGetErrorName(int error, const char** name) {
  static const std::map<int, const char*> NAMES = {
      {SUCCESS, "CUDA_SUCCESS"},
      {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
      {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
      {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED"},
      {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE"},
      {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"},
      {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"},
      {FILE_NOT_FOUND, "CUDA_ERROR_FILE_NOT_FOUND"},
      {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
      {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
      {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
      {LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"},
      {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"}};
  auto found = NAMES.find(error);
  *name = found == NAMES.end() ? nullptr : found->second;
  return *name ? SUCCESS : INVALID_VALUE;
}
int cuGetErrorString(int error, const char** text) {
  static thread_local std::string copy;
  if (error == SUCCESS || error == OUT_OF_MEMORY) {
    *text = error == SUCCESS ? "no error" : "out of memory";
    return SUCCESS;
  }
  std::lock_guard<std::mutex> lock(detailMutex);
  copy = detail;
  *text = copy.c_str();
  return SUCCESS;
}

// ---- devices and contexts

int cuDeviceGetCount(int* count) {
  const char* text = getenv("LONGALIGN_EMULATOR_DEVICES");
  *count = text ? atoi(text) : 1;
  return initialised ? SUCCESS : NOT_INITIALIZED;
}
int cuDeviceGet(int* device, int ordinal) {
  int count = 0;
  cuDeviceGetCount(&count);
  *device = ordinal;
  return ordinal >= 0 && ordinal < count ? SUCCESS : explain(INVALID_DEVICE, "no such device");
}
int cuDeviceGetName(char* name, int length, int) {
  snprintf(name, length, "CUDA emulator on the CPU");
  return SUCCESS;
}
int cuDeviceTotalMem_v2(size_t* bytes, int) {
  *bytes = emulator::memory_total();
  return SUCCESS;
}
int cuDeviceGetAttribute(int* value, int which, int) {
  *value = attribute(which);
  return SUCCESS;
}
int cuDeviceGetUuid(char* uuid, int device) {
  memset(uuid, device, 16);
  return SUCCESS;
}
int cuDevicePrimaryCtxRetain(void** context, int) {
  *context = &device_context;
  return SUCCESS;
}
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxCreate_v2(void** context, unsigned, int) {
  *context = current = &device_context;
  return SUCCESS;
}
int cuCtxDestroy_v2(void*) { return SUCCESS; }
int cuCtxSetCurrent(void* context) {
  current = context;
  return SUCCESS;
}
int cuCtxGetCurrent(void** context) {
  *context = current;
  return SUCCESS;
}
int cuCtxSynchronize() { return current ? SUCCESS : explain(INVALID_CONTEXT, "no context on this thread"); }

// ---- memory

int cuMemAlloc_v2(uintptr_t* address, size_t bytes) {
  if (!current) {
    return explain(INVALID_CONTEXT, "no context on this thread");
  }
  if (bytes == 0) {
    return explain(INVALID_VALUE, "allocation of 0 bytes");
  }
  *address = emulator::allocate(bytes);
  return *address ? SUCCESS : OUT_OF_MEMORY;
}
int cuMemFree_v2(uintptr_t address) {
  return address == 0 || emulator::release(address) ? SUCCESS
                                                    : explain(INVALID_VALUE, "free of what is not an allocation");
}
int cuMemAllocAsync(uintptr_t* address, size_t bytes, void*) { return cuMemAlloc_v2(address, bytes); }
int cuMemFreeAsync(uintptr_t address, void*) { return cuMemFree_v2(address); }
int cuMemGetInfo_v2(size_t* free, size_t* total) {
  *free = emulator::memory_free();
  *total = emulator::memory_total();
  return SUCCESS;
}
int cuMemAllocHost_v2(void** pointer, size_t bytes) {
  *pointer = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  return *pointer ? SUCCESS : OUT_OF_MEMORY;
}
int cuMemHostAlloc(void** pointer, size_t bytes, unsigned) { return cuMemAllocHost_v2(pointer, bytes); }
int cuMemFreeHost(void* pointer) {
  free(pointer);
  return SUCCESS;
}

int cuMemcpyHtoD_v2(uintptr_t to, const void* from, size_t bytes) {
  std::string wrong = emulator::check_write(to, bytes);
  if (!wrong.empty()) {
    return explain(INVALID_VALUE, "copy to the device: " + wrong);
  }
  memcpy((void*)to, from, bytes);
  emulator::set_state(to, bytes, emulator::ALLOCATED | emulator::INITIALISED);
  return SUCCESS;
}
int cuMemcpyDtoH_v2(void* to, uintptr_t from, size_t bytes) {
  std::string wrong = emulator::check_read(from, bytes);
  if (!wrong.empty()) {
    return explain(INVALID_VALUE, "copy from the device: " + wrong);
  }
  memcpy(to, (void*)from, bytes);
  return SUCCESS;
}
int cuMemcpyDtoD_v2(uintptr_t to, uintptr_t from, size_t bytes) {
  std::string wrong = emulator::check_read(from, bytes);
  return wrong.empty() ? cuMemcpyHtoD_v2(to, (void*)from, bytes)
                       : explain(INVALID_VALUE, "copy on the device: " + wrong);
}
int cuMemcpyHtoDAsync_v2(uintptr_t to, const void* from, size_t bytes, void*) {
  return cuMemcpyHtoD_v2(to, from, bytes);
}
int cuMemcpyDtoHAsync_v2(void* to, uintptr_t from, size_t bytes, void*) { return cuMemcpyDtoH_v2(to, from, bytes); }
int cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t bytes, void*) {
  return cuMemcpyDtoD_v2(to, from, bytes);
}
int cuMemsetD8_v2(uintptr_t to, unsigned char value, size_t bytes) {
  std::string wrong = emulator::check_write(to, bytes);
  if (!wrong.empty()) {
    return explain(INVALID_VALUE, "memset: " + wrong);
  }
  memset((void*)to, value, bytes);
  emulator::set_state(to, bytes, emulator::ALLOCATED | emulator::INITIALISED);
  return SUCCESS;
}
int cuMemsetD8Async(uintptr_t to, unsigned char value, size_t bytes, void*) { return cuMemsetD8_v2(to, value, bytes); }
int cuMemsetD32_v2(uintptr_t to, unsigned value, size_t words) {
  int result = cuMemsetD8_v2(to, 0, 4 * words);
  for (size_t i = 0; result == SUCCESS && i < words; i++) {
    ((unsigned*)to)[i] = value;
  }
  return result;
}
int cuMemsetD32Async(uintptr_t to, unsigned value, size_t words, void*) { return cuMemsetD32_v2(to, value, words); }

// ---- streams and events

int cuStreamCreate(void** stream, unsigned) {
  *stream = &streams;
  return SUCCESS;
}
int cuStreamDestroy_v2(void*) { return SUCCESS; }
int cuStreamSynchronize(void*) { return cuCtxSynchronize(); }
int cuStreamQuery(void*) { return SUCCESS; }
int cuStreamWaitEvent(void*, void*, unsigned) { return SUCCESS; }
int cuEventCreate(void** event, unsigned) {
  *event = new Event();
  return SUCCESS;
}
int cuEventDestroy_v2(void* event) {
  delete (Event*)event;
  return SUCCESS;
}
int cuEventRecord(void* event, void*) {
  ((Event*)event)->time = std::chrono::steady_clock::now();
  return SUCCESS;
}
int cuEventSynchronize(void*) { return SUCCESS; }
int cuEventQuery(void*) { return SUCCESS; }
int cuEventElapsedTime(float* milliseconds, void* start, void* end) {
  *milliseconds = std::chrono::duration<float, std::milli>(((Event*)end)->time - ((Event*)start)->time).count();
  return SUCCESS;
}

// ---- modules and launches

int cuModuleLoad(void** module, const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    return explain(FILE_NOT_FOUND, dlerror());
  }
  *module = new Module{library, {}};
  return SUCCESS;
}
int cuModuleLoadData(void**, const void*) {
  return explain(INVALID_IMAGE, "the emulator runs kernels that g++ compiled: load their library with cuModuleLoad");
}
int cuModuleUnload(void* module) {
  Module* m = (Module*)module;
  for (auto& function : m->functions) {
    delete function.second;
  }
  dlclose(m->library);
  delete m;
  return SUCCESS;
}
int cuModuleGetFunction(void** function, void* module, const char* name) {
  Module* m = (Module*)module;
  auto found = m->functions.find(name);
  if (found == m->functions.end()) {
    void* entry = dlsym(m->library, (std::string("emulator_entry_") + name).c_str());
    if (!entry) {
      return explain(NOT_FOUND, std::string("no kernel ") + name + " in the module");
    }
    found = m->functions.emplace(name, new Function{((const Entry* (*)())entry)()}).first;
  }
  *function = found->second;
  return SUCCESS;
}
int cuFuncSetAttribute(void* function, int which, int value) {
  Function* f = (Function*)function;
  if (which == 8) {  // dynamic shared memory
    if (value < 0 || (size_t)value > emulator::SHARED_LIMIT) {
      return explain(INVALID_VALUE, std::string(f->entry->name) + ": " + std::to_string(value) +
                                        " bytes of shared memory, the device has " +
                                        std::to_string(emulator::SHARED_LIMIT));
    }
    f->sharedLimit = (unsigned)value;
  }
  return SUCCESS;
}
int cuFuncGetAttribute(int* value, int which, void* function) {
  Function* f = (Function*)function;
  *value = which == 0 ? f->entry->maxThreads : which == 8 ? (int)f->sharedLimit : 0;
  return SUCCESS;
}

int cuLaunchKernel(void* function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
                   unsigned blockZ, unsigned shared, void*, void** parameters, void** extra) {
  Function* f = (Function*)function;
  std::string name = f->entry->name;
  if (!current) {
    return explain(INVALID_CONTEXT, "no context on this thread");
  }
  if (!gridX || !gridY || !gridZ || !blockX || !blockY || !blockZ || gridX > 2147483647u || gridY > 65535 ||
      gridZ > 65535 || blockX > 1024 || blockY > 1024 || blockZ > 64 || blockX * blockY * blockZ > 1024 || extra) {
    char text[200];
    snprintf(text, sizeof text, "%s: grid (%u, %u, %u) of blocks (%u, %u, %u) is outside of the device's limits",
             name.c_str(), gridX, gridY, gridZ, blockX, blockY, blockZ);
    return explain(INVALID_VALUE, text);
  }
  if ((int)(blockX * blockY * blockZ) > f->entry->maxThreads) {
    return explain(LAUNCH_OUT_OF_RESOURCES, name + ": " + std::to_string(blockX * blockY * blockZ) +
                                                " threads in a block, its registers were allotted for " +
                                                std::to_string(f->entry->maxThreads));
  }
  if (shared > f->sharedLimit) {
    return explain(INVALID_VALUE, name + ": " + std::to_string(shared) + " bytes of shared memory, allowed are " +
                                      std::to_string(f->sharedLimit) +
                                      " (more needs cuFuncSetAttribute with MAX_DYNAMIC_SHARED_SIZE_BYTES)");
  }
  Launch launch{f->entry, parameters, {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, shared};
  std::string wrong = emulator::run(launch);
  if (wrong.empty()) {
    return SUCCESS;
  }
  bool address = wrong.find("read") != std::string::npos || wrong.find("write") != std::string::npos ||
                 wrong.find("misaligned") != std::string::npos;
  return explain(address ? ILLEGAL_ADDRESS : LAUNCH_FAILED, wrong);
}
}
