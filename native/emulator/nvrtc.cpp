// libnvrtc.so.12 for the emulator: compiles kernels with g++ into what the emulated cuModuleLoadData takes. Built with
// EMULATOR, the directory of these sources. LONGALIGN_EMULATOR_NVRTC_LOG names a file that gets a line a compilation.
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

enum Result { SUCCESS = 0, INVALID_INPUT = 3, INVALID_OPTION = 5, COMPILATION = 6 };

struct Program {
  std::string name;
  std::string source;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string image;
  std::string log;
};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

// Where the emulated driver lies, which this library was built beside.
std::string folder() {
  Dl_info info;
  dladdr((void*)&folder, &info);
  std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/'));
}

}  // namespace

extern "C" {

const char* nvrtcGetErrorString(int result) {
  return result == SUCCESS ? "NVRTC_SUCCESS" : result == COMPILATION ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR";
}
int nvrtcVersion(int* major, int* minor) {
  *major = 12;
  *minor = 6;
  return SUCCESS;
}
int nvrtcCreateProgram(void** program, const char* source, const char* name, int count, const char* const* headers,
                       const char* const* names) {
  Program* p = new Program{name ? name : "default_program", source, {}, "", ""};
  for (int i = 0; i < count; i++) {
    p->headers.emplace_back(names[i], headers[i]);
  }
  *program = p;
  return SUCCESS;
}
int nvrtcDestroyProgram(void** program) {
  delete (Program*)*program;
  *program = nullptr;
  return SUCCESS;
}
int nvrtcCompileProgram(void* program, int count, const char* const* options) {
  Program* p = (Program*)program;
  for (int i = 0; i < count; i++) {
    if (strncmp(options[i], "--gpu-architecture=sm_", 22) != 0 && strcmp(options[i], "--std=c++17") != 0) {
      p->log = std::string("nvrtc: error: invalid value for ") + options[i];
      return INVALID_OPTION;
    }
  }
  if (const char* log = getenv("LONGALIGN_EMULATOR_NVRTC_LOG")) {
    std::ofstream(log, std::ios::app) << p->name << "\n";
  }
  char directory[] = "/tmp/longalign-nvrtc-XXXXXX";
  if (!mkdtemp(directory)) {
    return INVALID_INPUT;
  }
  // Headers find each other, and the dialect its emulator, as in the source tree.
  std::string root = directory;
  if (mkdir((root + "/kernels").c_str(), 0700) != 0 || symlink(EMULATOR, (root + "/emulator").c_str()) != 0 ||
      symlink(folder().c_str(), (root + "/driver").c_str()) != 0) {
    return INVALID_INPUT;
  }
  write(root + "/kernels/" + p->name, p->source);
  for (auto& header : p->headers) {
    write(root + "/kernels/" + header.first, header.second);
  }
  const char* compiler = getenv("CXX");
  std::string command = std::string("cd ") + root + "/kernels && " + (compiler ? compiler : "g++") +
                        " -std=c++17 -O0 -fPIC -shared -fno-strict-aliasing -fsanitize=kernel-address,alignment" +
                        " --param asan-instrumentation-with-call-threshold=0 --param asan-globals=0" +
                        " --param asan-stack=0 --param asan-instrument-allocas=0 -ftls-model=initial-exec" +
                        " -x c++ " + p->name + " -o ../image -L ../driver -l:libcuda.so.1 2> ../log";
  int status = system(command.c_str());
  p->log = read(root + "/log");
  p->image = read(root + "/image");
  if (system(("rm -r " + root).c_str()) != 0) {
    fprintf(stderr, "CUDA emulator: %s stays\n", root.c_str());
  }
  return status == 0 && !p->image.empty() ? SUCCESS : COMPILATION;
}
int nvrtcGetCUBINSize(void* program, size_t* bytes) {
  *bytes = ((Program*)program)->image.size();
  return SUCCESS;
}
int nvrtcGetCUBIN(void* program, char* bytes) {
  std::string& image = ((Program*)program)->image;
  memcpy(bytes, image.data(), image.size());
  return SUCCESS;
}
int nvrtcGetProgramLogSize(void* program, size_t* bytes) {
  *bytes = ((Program*)program)->log.size() + 1;
  return SUCCESS;
}
int nvrtcGetProgramLog(void* program, char* text) {
  std::string& log = ((Program*)program)->log;
  memcpy(text, log.c_str(), log.size() + 1);
  return SUCCESS;
}
}
