#!/bin/sh
# Builds the emulated driver (libcuda.so.1), the compiler that goes with it (libnvrtc.so.12 and, under CUDA 13's name,
# libnvrtc.so.13), the kernels (longalign-kernels.so, listed in kernels.txt) and the emulated cuBLAS (cublas12, cublas13) into
# the given directory; with a second argument also that source as kernels of its own: build.sh OUT [SOURCE.cu]. Does nothing when
# they are up to date.
# Exit status 3: no g++ (the caller skips what needs the emulator, and says so).
set -eu
out=$1
here=$(cd "$(dirname "$0")" && pwd)
compiler=${CXX:-g++}
if ! command -v "$compiler" > /dev/null 2>&1; then
  echo "CUDA emulator: no $compiler; tests on the emulator are SKIPPED" >&2
  exit 3
fi
mkdir -p "$out"
stamp=$( (cat "$here"/*.cpp "$here"/*.h "$here"/build.sh "$here"/cublas/* "$here"/../kernels/*.cu* ${2:+"$2"}; "$compiler" --version; uname -m) | cksum)
if [ -f "$out/stamp" ] && [ "$(cat "$out/stamp")" = "$stamp" ]; then
  exit 0
fi
rm -f "$out/stamp" "$out"/*.o "$out"/*.so*
native=-march=native
echo 'int main() {}' | "$compiler" $native -x c++ -fsyntax-only - 2> /dev/null || native=
common="-std=c++17 -O2 $native -fPIC -g1 -Wall -Wextra -fno-strict-aliasing"
checks="-fsanitize=kernel-address,alignment --param asan-instrumentation-with-call-threshold=0 --param asan-globals=0 \
  --param asan-stack=0 --param asan-instrument-allocas=0 -ftls-model=initial-exec"
for part in memory block copies stream driver; do
  "$compiler" $common -O3 -ftls-model=initial-exec -c "$here/$part.cpp" -o "$out/$part.o" &
done
for source in "$here"/../kernels/*.cu ${2:+"$2"}; do
  "$compiler" $common $checks -I "$here/../kernels" -x c++ -c "$source" -o "$out/$(basename "$source" .cu).kernel.o"
done
wait
# A line a kernel: the file it is in, its name.
for source in "$here"/../kernels/*.cu; do
  family=$(basename "$source" .cu)
  nm --defined-only "$out/$family.kernel.o" | sed -n "s/.* T emulator_entry_/$family /p"
done > "$out/kernels.txt"
"$compiler" -shared -pthread -Wl,-soname,libcuda.so.1 -o "$out/libcuda.so.1" "$out"/memory.o "$out"/block.o "$out"/copies.o \
  "$out"/stream.o "$out"/driver.o
for major in 12 13; do
  echo "libnvrtc.so.$major { global: nvrtc*; local: *; };" > "$out/nvrtc.map"
  "$compiler" $common -shared -DEMULATOR="\"$here\"" -Wl,-soname,libnvrtc.so.$major \
    -Wl,--version-script="$out/nvrtc.map" -o "$out/libnvrtc.so.$major" "$here/nvrtc.cpp"
done
rm "$out/nvrtc.map"
if [ $# -gt 1 ]; then
  "$compiler" -shared -o "$out/$(basename "$2" .cu).so" "$out/$(basename "$2" .cu).kernel.o" -L "$out" -l:libcuda.so.1 \
    -Wl,-rpath,'$ORIGIN'
  rm "$out/$(basename "$2" .cu).kernel.o"
fi
"$compiler" -shared -o "$out/longalign-kernels.so" "$out"/*.kernel.o -L "$out" -l:libcuda.so.1 -Wl,-rpath,'$ORIGIN'
"$here/cublas/build.sh" "$out" "$compiler" "$common" "$checks"
echo "$stamp" > "$out/stamp"
