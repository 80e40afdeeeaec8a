// The calls of the CUDA driver API that the CUDA backend makes, on the CPU. Work is done when it is enqueued, in the order
// of the calls, which every order that streams and events allow includes. A module is a shared library of kernels that
// g++ compiled (kernel.h). cuGetErrorString tells what the last failing launch or copy did wrong.
#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "emulator.h"
#include "stream.h"

using namespace emulator;

namespace {

std::mutex detailMutex;
std::string detail;
bool initialised = false;

struct Function {
  const Entry* entry;
  Context* context;
  unsigned sharedLimit = SHARED_DEFAULT;
};

struct Module {
  void* library;
  Context* context;
  std::map<std::string, Function*> functions;
};

struct Event {
  std::chrono::steady_clock::time_point time;
  bool captured = false;
};

// "86", or one a device: "86,75".
int capability(int device) {
  const char* text = getenv("LONGALIGN_EMULATOR_CAPABILITY");
  for (int i = 0; text && i < device && strchr(text, ','); i++) {
    text = strchr(text, ',') + 1;
  }
  return text ? atoi(text) : 86;
}

size_t shared_limit(int device) { return capability(device) == 90 ? emulator::SHARED_LIMIT_HOPPER : emulator::SHARED_LIMIT; }

int attribute(int which, int device) {
  switch (which) {
    case 1: return 1024;                             // threads per block
    case 2: case 3: return 1024;                     // block x, y
    case 4: return 64;                               // block z
    case 5: return 2147483647;                       // grid x
    case 6: case 7: return 65535;                    // grid y, z
    case 8: return (int)SHARED_DEFAULT;    // shared memory per block
    case 10: return 32;                              // warp
    case 12: return 65536;                           // registers per block
    case 13: return 1000000;                         // kHz
    case 16: return 2;                               // multiprocessors
    case 39: return 1536;                            // threads per multiprocessor
    case 75: return capability(device) / 10;
    case 76: return capability(device) % 10;
    case 81: return (int)shared_limit(device) + 1024;  // shared memory per multiprocessor
    case 97: return (int)shared_limit(device);     // shared memory per block, when asked for
    case 115: return 1;                              // memory pools
    default: return 0;
  }
}

// For calls on an event that only a graph records.
int recorded(void* event, const char* call) {
  return ((Event*)event)->captured
             ? explain(emulator::CAPTURED_EVENT, std::string(call) + ": the event was last recorded in a capture")
             : SUCCESS;
}

std::string name_of(Context* context) { return context ? "device " + std::to_string(context->device) : "no device"; }

}  // namespace

namespace emulator {
int explain(int result, const std::string& text) {
  std::lock_guard<std::mutex> lock(detailMutex);
  detail = text;
  fprintf(stderr, "CUDA emulator: %s\n", text.c_str());
  return result;
}
}  // namespace emulator

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
      {ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE"},
      {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
      {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
      {LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"},
      {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
      {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
      {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
      {CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT"},
      {CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD"}};
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
  *count = std::min(text ? atoi(text) : 1, MAX_DEVICES);
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
  *bytes = memory_total();
  return SUCCESS;
}
int cuDeviceGetAttribute(int* value, int which, int device) {
  *value = attribute(which, device);
  return SUCCESS;
}
int cuDeviceGetUuid(char* uuid, int device) {
  memset(uuid, device, 16);
  return SUCCESS;
}
int cuDevicePrimaryCtxRetain(void** context, int device) {
  *context = primary_context(device);
  return SUCCESS;
}
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxCreate_v2(void** context, unsigned, int device) {
  *context = current = primary_context(device);
  return SUCCESS;
}
int cuCtxDestroy_v2(void*) { return SUCCESS; }
int cuCtxSetCurrent(void* context) {
  current = (Context*)context;
  return SUCCESS;
}
int cuCtxGetCurrent(void** context) {
  *context = current;
  return SUCCESS;
}
int cuCtxSynchronize() { return wait_for_all("cuCtxSynchronize"); }

// ---- memory

int cuMemAlloc_v2(uintptr_t* address, size_t bytes) {
  if (!current) {
    return explain(INVALID_CONTEXT, "no context on this thread");
  }
  if (bytes == 0) {
    return explain(INVALID_VALUE, "allocation of 0 bytes");
  }
  int refused = unsafe("cuMemAlloc");
  if (refused != SUCCESS) {
    return refused;
  }
  *address = allocate(bytes, current->device);
  return *address ? SUCCESS : OUT_OF_MEMORY;
}
int cuMemFree_v2(uintptr_t address) {
  int refused = unsafe("cuMemFree");
  if (refused != SUCCESS) {
    return refused;
  }
  return address == 0 || release(address) ? SUCCESS : explain(INVALID_VALUE, "free of what is not an allocation");
}
int cuMemAllocAsync(uintptr_t* address, size_t bytes, void*) { return cuMemAlloc_v2(address, bytes); }
int cuMemFreeAsync(uintptr_t address, void*) { return cuMemFree_v2(address); }
int cuMemGetInfo_v2(size_t* free, size_t* total) {
  if (!current) {
    return explain(INVALID_CONTEXT, "no context on this thread");
  }
  *free = memory_free(current->device);
  *total = memory_total();
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

}

namespace {

int copy_to_device(uintptr_t to, const void* from, size_t bytes) {
  std::string wrong = check_write(to, bytes);
  if (!wrong.empty()) {
    return explain(INVALID_VALUE, "copy to the device: " + wrong);
  }
  memcpy((void*)to, from, bytes);
  set_state(to, bytes, ALLOCATED | INITIALISED);
  return SUCCESS;
}
int copy_from_device(void* to, uintptr_t from, size_t bytes) {
  std::string wrong = check_read(from, bytes);
  if (!wrong.empty()) {
    return explain(INVALID_VALUE, "copy from the device: " + wrong);
  }
  memcpy(to, (void*)from, bytes);
  return SUCCESS;
}
int copy_on_device(uintptr_t to, uintptr_t from, size_t bytes) {
  std::string wrong = check_read(from, bytes);
  return wrong.empty() ? copy_to_device(to, (void*)from, bytes)
                       : explain(INVALID_VALUE, "copy on the device: " + wrong);
}
template <class T>
int fill(uintptr_t to, T value, size_t count) {
  std::string wrong = check_write(to, count * sizeof(T));
  if (!wrong.empty()) {
    return explain(INVALID_VALUE, "memset: " + wrong);
  }
  std::fill_n((T*)to, count, value);
  set_state(to, count * sizeof(T), ALLOCATED | INITIALISED);
  return SUCCESS;
}
// Work of the default stream, which waits for the others.
int at_once(const char* call, std::function<int()> work) {
  int refused = unsafe(call);
  return refused != SUCCESS ? refused : enqueue(nullptr, std::move(work));
}

}  // namespace

extern "C" {

int cuMemcpyHtoD_v2(uintptr_t to, const void* from, size_t bytes) {
  return at_once("cuMemcpyHtoD", [=] { return copy_to_device(to, from, bytes); });
}
int cuMemcpyDtoH_v2(void* to, uintptr_t from, size_t bytes) {
  return at_once("cuMemcpyDtoH", [=] { return copy_from_device(to, from, bytes); });
}
int cuMemcpyDtoD_v2(uintptr_t to, uintptr_t from, size_t bytes) {
  return at_once("cuMemcpyDtoD", [=] { return copy_on_device(to, from, bytes); });
}
int cuMemcpyHtoDAsync_v2(uintptr_t to, const void* from, size_t bytes, void* stream) {
  return enqueue(stream, [=] { return copy_to_device(to, from, bytes); });
}
int cuMemcpyDtoHAsync_v2(void* to, uintptr_t from, size_t bytes, void* stream) {
  return enqueue(stream, [=] { return copy_from_device(to, from, bytes); });
}
int cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t bytes, void* stream) {
  return enqueue(stream, [=] { return copy_on_device(to, from, bytes); });
}
int cuMemsetD8_v2(uintptr_t to, unsigned char value, size_t bytes) {
  return at_once("cuMemsetD8", [=] { return fill(to, value, bytes); });
}
int cuMemsetD8Async(uintptr_t to, unsigned char value, size_t bytes, void* stream) {
  return enqueue(stream, [=] { return fill(to, value, bytes); });
}
int cuMemsetD32_v2(uintptr_t to, unsigned value, size_t words) {
  return at_once("cuMemsetD32", [=] { return fill(to, value, words); });
}
int cuMemsetD32Async(uintptr_t to, unsigned value, size_t words, void* stream) {
  return enqueue(stream, [=] { return fill(to, value, words); });
}

// ---- events

int cuEventCreate(void** event, unsigned) {
  *event = new Event();
  return SUCCESS;
}
int cuEventDestroy_v2(void* event) {
  delete (Event*)event;
  return SUCCESS;
}
int cuEventRecord(void* event, void* stream) {
  ((Event*)event)->captured = captures(stream);
  ((Event*)event)->time = std::chrono::steady_clock::now();
  return SUCCESS;
}
int cuEventSynchronize(void* event) { return recorded(event, "cuEventSynchronize"); }
int cuEventQuery(void* event) { return recorded(event, "cuEventQuery"); }
int cuEventElapsedTime(float* milliseconds, void* start, void* end) {
  for (void* event : {start, end}) {
    int refused = recorded(event, "cuEventElapsedTime");
    if (refused != SUCCESS) {
      return refused;
    }
  }
  *milliseconds = std::chrono::duration<float, std::milli>(((Event*)end)->time - ((Event*)start)->time).count();
  return SUCCESS;
}

// ---- modules and launches

int cuModuleLoad(void** module, const char* path) {
  int refused = unsafe("cuModuleLoad");
  if (refused != SUCCESS) {
    return refused;
  }
  if (!current) {
    return explain(INVALID_CONTEXT, "no context on this thread");
  }
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    return explain(FILE_NOT_FOUND, dlerror());
  }
  *module = new Module{library, current, {}};
  return SUCCESS;
}
// Takes what the emulated NVRTC (nvrtc.cpp) makes: a shared library of kernels.
int cuModuleLoadData(void** module, const void* image) {
  const Elf64_Ehdr* header = (const Elf64_Ehdr*)image;
  if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_machine == EM_CUDA) {
    return explain(INVALID_IMAGE, "the emulator runs kernels that g++ compiled, this image is something else");
  }
  size_t bytes = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;  // the sections' table comes last
  char path[] = "/tmp/longalign-emulator-XXXXXX";
  int file = mkstemp(path);
  if (file < 0 || write(file, image, bytes) != (ssize_t)bytes) {
    return explain(INVALID_IMAGE, "the image cannot be written to /tmp");
  }
  close(file);
  int result = cuModuleLoad(module, path);
  unlink(path);
  return result == FILE_NOT_FOUND ? INVALID_IMAGE : result;
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
    found = m->functions.emplace(name, new Function{((const Entry* (*)())entry)(), m->context}).first;
  }
  *function = found->second;
  return SUCCESS;
}
int cuFuncSetAttribute(void* function, int which, int value) {
  Function* f = (Function*)function;
  if (which == 8) {  // dynamic shared memory
    size_t limit = shared_limit(f->context->device);
    if (value < 0 || (size_t)value > limit) {
      return explain(INVALID_VALUE, std::string(f->entry->name) + ": " + std::to_string(value) +
                                        " bytes of shared memory, the device has " +
                                        std::to_string(limit));
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

// Of those that kernels here use: four dimensions of 2-byte elements, in swizzled rows of 128 bytes.
int cuTensorMapEncodeTiled(void* to, int type, unsigned rank, void* address, const uint64_t* sizes, const uint64_t* strides,
                           const unsigned* box, const unsigned* elementStrides, int interleave, int swizzle, int, int fill) {
  constexpr int FLOAT16 = 6, BFLOAT16 = 9, SWIZZLE_128B = 3;
  TensorMap map{};
  bool good = (uintptr_t)to % 64 == 0 && (uintptr_t)address % 16 == 0 && rank == TensorMap::RANK && interleave == 0 &&
              swizzle == SWIZZLE_128B && fill == 0 && (type == FLOAT16 || type == BFLOAT16);
  for (unsigned i = 0; good && i < rank; i++) {
    good = sizes[i] >= 1 && sizes[i] <= 0xffffffffu && box[i] >= 1 && box[i] <= 256 && elementStrides[i] == 1 &&
           (i == rank - 1 || (strides[i] % 16 == 0 && strides[i] < (uint64_t(1) << 40)));
  }
  if (!good || box[0] * 2 != 128) {
    return explain(INVALID_VALUE, "cuTensorMapEncodeTiled: the map's or the tensor's alignment, sizes, strides, box, or what the "
                                  "emulator does not know");
  }
  map.mark = TensorMap::MARK;
  map.address = (u64)address;
  for (int i = 0; i < TensorMap::RANK; i++) {
    map.sizes[i] = (u32)sizes[i];
    map.box[i] = box[i];
    if (i < TensorMap::RANK - 1) {
      map.strides[i] = strides[i];
    }
  }
  memcpy(to, &map, sizeof map);
  return SUCCESS;
}
}

namespace {

int launch(void* function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY, unsigned blockZ,
           unsigned shared, void* stream, void** parameters, void** extra, bool overlapping) {
  Function* f = (Function*)function;
  std::string name = f->entry->name;
  if (f->context != current) {
    return explain(current ? INVALID_HANDLE : INVALID_CONTEXT,
                   name + ": loaded on " + name_of(f->context) + ", the current context is of " + name_of(current));
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
  std::vector<std::vector<unsigned char>> arguments(f->entry->parameters);
  for (int i = 0; i < f->entry->parameters; i++) {
    const unsigned char* from = (const unsigned char*)parameters[i];
    arguments[i].assign(from, from + f->entry->sizes[i]);
  }
  return enqueue(stream, [=]() mutable {
    std::vector<void*> pointers;
    for (auto& argument : arguments) {
      pointers.push_back(argument.data());
    }
    std::string wrong =
        run(Launch{f->entry, pointers.data(), {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, shared, overlapping});
    if (wrong.empty()) {
      return (int)SUCCESS;
    }
    bool address = wrong.find("read") != std::string::npos || wrong.find("write") != std::string::npos ||
                   wrong.find("misaligned") != std::string::npos;
    return explain(address ? ILLEGAL_ADDRESS : LAUNCH_FAILED, wrong);
  });
}

struct LaunchAttribute {
  int id;
  int padding;
  int value[16];
};
struct LaunchConfig {
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, shared;
  void* stream;
  const LaunchAttribute* attributes;
  unsigned attributeCount;
};

}  // namespace

extern "C" {

int cuLaunchKernel(void* function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
                   unsigned blockZ, unsigned shared, void* stream, void** parameters, void** extra) {
  return launch(function, gridX, gridY, gridZ, blockX, blockY, blockZ, shared, stream, parameters, extra, false);
}

// With no other attribute than that of programmatic dependent launch.
int cuLaunchKernelEx(const LaunchConfig* c, void* function, void** parameters, void** extra) {
  constexpr int PROGRAMMATIC_STREAM_SERIALIZATION = 6;
  bool overlapping = false;
  for (unsigned i = 0; i < c->attributeCount; i++) {
    if (c->attributes[i].id != PROGRAMMATIC_STREAM_SERIALIZATION) {
      return explain(INVALID_VALUE, "cuLaunchKernelEx: attribute " + std::to_string(c->attributes[i].id) + " is not known here");
    }
    overlapping |= c->attributes[i].value[0] != 0;
  }
  return launch(function, c->gridX, c->gridY, c->gridZ, c->blockX, c->blockY, c->blockZ, c->shared, c->stream, parameters,
                extra, overlapping);
}
}
