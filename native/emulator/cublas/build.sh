#!/bin/sh
# Builds the emulated cuBLAS beside the emulated driver in OUT, once under each name that CUDA ships it by:
# OUT/cublas12/libcublas.so.12 and OUT/cublas13/libcublas.so.13. Called by ../build.sh: build.sh OUT COMPILER FLAGS CHECKS.
set -eu
out=$1
compiler=$2
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC2086
"$compiler" $3 $4 -I "$here/../../kernels" -x c++ -c "$here/gemm.cu" -o "$out/gemm.o"
for major in 12 13; do
  folder=$out/cublas$major
  mkdir -p "$folder"
  echo "libcublas.so.$major { global: cublas*; emulator_entry_*; local: *; };" > "$out/cublas.map"
  # shellcheck disable=SC2086
  "$compiler" $3 "-DEMULATED_VERSION=${major}0000" -shared -Wl,-soname,libcublas.so.$major \
    -Wl,--version-script="$out/cublas.map" -o "$folder/libcublas.so.$major" "$here/cublas.cpp" "$out/gemm.o" \
    -L "$out" -l:libcuda.so.1 -Wl,-rpath,'$ORIGIN/..'
done
rm "$out/gemm.o" "$out/cublas.map"
