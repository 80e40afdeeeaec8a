// A library under CUDA 12's name and symbol version for a machine that has CUDA 13's only: JCuda 12.6 is linked against CUDA
// 12's. It forwards the calls that LongAlign makes, whose signatures and constants CUDA 13 has kept; JCuda binds the others
// when they are called, which they are not.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

static void* find(const char* name) {
  // Loaded already, by its path; else the loader looks for it.
  static void* library;
  if (!library) {
    library = dlopen(LIBRARY, RTLD_LAZY);
  }
  return library ? dlsym(library, name) : NULL;
}

// Returns MISSING where there is no such call.
#define FORWARD(name, parameters, arguments)                   \
  int name parameters {                                        \
    static int(*real) parameters;                              \
    if (!real) {                                               \
      real = (int(*) parameters)find(#name);                   \
    }                                                          \
    return real ? real arguments : MISSING;                    \
  }
