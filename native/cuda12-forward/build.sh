#!/bin/sh
# Builds the libraries that serve CUDA 13's cuBLAS and NVRTC under CUDA 12's names: build.sh OUT makes
# OUT/libcublas-forward.so and OUT/libnvrtc-forward.so. Without a C compiler it says so and leaves nothing: then these are
# used where CUDA 12's are installed.
set -eu
out=$1
here=$(cd "$(dirname "$0")" && pwd)
compiler=${CC:-cc}
if [ "$(uname -sm)" != "Linux x86_64" ] || ! command -v "$compiler" > /dev/null 2>&1; then
  echo "no C compiler for Linux x86-64: the jar cannot use CUDA 13's cuBLAS and NVRTC" >&2
  exit 0
fi
mkdir -p "$out"
for name in cublas nvrtc; do
  echo "lib$name.so.12 { global: $name*; local: *; };" > "$out/forward.map"
  "$compiler" -O2 -Wall -Wextra -fPIC -shared -Wl,-soname,lib$name.so.12 -Wl,--version-script="$out/forward.map" \
    -o "$out/lib$name-forward.so" "$here/$name.c" -ldl
done
rm "$out/forward.map"
