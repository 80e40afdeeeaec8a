#!/bin/sh
# Compiles every kernel with nvcc into fatbins (sm_80, 86, 89, 90a and PTX for later devices) in the given directory, with
# ptxas's report (registers, shared memory, spills) of each beside it and a summary in report.txt. A family whose sources
# and compiler have not changed is not compiled again: results are kept in ${XDG_CACHE_HOME:-~/.cache}/longalign/fatbin.
# Without nvcc it says so and leaves nothing: the kernels are then compiled by NVRTC at first use.
set -eu
out=$1
here=$(cd "$(dirname "$0")" && pwd)
nvcc=${NVCC:-nvcc}
if ! command -v "$nvcc" > /dev/null 2>&1; then
  echo "no nvcc: the jar carries the kernels' sources only, NVRTC will compile them at first use" >&2
  exit 0
fi
mkdir -p "$out"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/longalign/fatbin
mkdir -p "$cache"
targets="-gencode arch=compute_80,code=sm_80 -gencode arch=compute_86,code=sm_86 -gencode arch=compute_89,code=sm_89 \
  -gencode arch=compute_90a,code=sm_90a -gencode arch=compute_90,code=compute_90 -gencode arch=compute_80,code=compute_80"
for source in "$here"/*.cu; do
  family=$(basename "$source" .cu)
  key=$( (cat "$source" "$here"/*.cuh "$here"/build.sh; "$nvcc" --version) | cksum | tr ' ' -)
  kept=$cache/$family-$key
  if [ ! -f "$kept.fatbin" ]; then
    echo "nvcc: $family"
    "$nvcc" -std=c++17 -O3 -Xptxas -v --threads 2 $targets -fatbin "$source" -o "$kept.$$.tmp" > "$kept.ptxas" 2>&1 || {
      cat "$kept.ptxas" >&2
      exit 1
    }
    mv "$kept.$$.tmp" "$kept.fatbin"
  fi
  cp "$kept.fatbin" "$out/$family.fatbin"
  cp "$kept.ptxas" "$out/$family.ptxas"
done
awk '/Compiling entry function/ {split($0, q, "\047"); name = q[2]; arch = q[4]}
     /spill/ {spill = $5 + 0; spill2 = $9 + 0}
     /Used [0-9]+ registers/ {match($0, /Used [0-9]+/); regs = substr($0, RSTART + 5, RLENGTH - 5) + 0
       printf "%-8s %-40s %4d registers, %d + %d bytes spilled\n", arch, name, regs, spill, spill2}' \
  "$out"/*.ptxas | sort > "$out/report.txt"
spilling=$(grep -vc ' 0 + 0 bytes spilled' "$out/report.txt" || true)
echo "$(wc -l < "$out/report.txt") kernels compiled; $spilling spill registers (report: $out/report.txt)"
