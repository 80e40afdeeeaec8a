#!/bin/sh
# Builds the library that serves CUDA 13's cuBLAS under CUDA 12's name: build.sh OUT makes OUT/libcublas-forward.so.
# Without a C compiler it says so and leaves nothing: cuBLAS is then used where libcublas.so.12 is installed.
set -eu
out=$1
here=$(cd "$(dirname "$0")" && pwd)
compiler=${CC:-cc}
if [ "$(uname -sm)" != "Linux x86_64" ] || ! command -v "$compiler" > /dev/null 2>&1; then
  echo "no C compiler for Linux x86-64: the jar cannot use CUDA 13's cuBLAS" >&2
  exit 0
fi
mkdir -p "$out"
echo "libcublas.so.12 { global: cublas*; local: *; };" > "$out/forward.map"
"$compiler" -O2 -Wall -Wextra -fPIC -shared -Wl,-soname,libcublas.so.12 -Wl,--version-script="$out/forward.map" \
  -o "$out/libcublas-forward.so" "$here/forward.c" -ldl
rm "$out/forward.map"
