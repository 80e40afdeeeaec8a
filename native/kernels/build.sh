#!/bin/sh
# Compiles every kernel with nvcc into fatbins (sm_80, 86, 89, 90a and PTX for later devices; those of *_wgmma sm_90a alone)
# in the given directory, with a line on each kernel in report.txt (see report.awk) and the same as tables in report.md. Fails if a kernel of the forward
# pass of attention, products or norms spills registers, or one for the tensor cores has no instruction for them. A family
# whose sources and compiler have not changed is not compiled again: results are kept in
# ${XDG_CACHE_HOME:-~/.cache}/longalign/fatbin.
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
# One PTX serves the devices before Hopper and, compiled by the driver, those after it.
all="-gencode arch=compute_80,code=[sm_80,sm_86,sm_89,compute_80] -gencode arch=compute_90a,code=sm_90a"
hopper="-gencode arch=compute_90a,code=sm_90a"
families=
for source in "$here"/*.cu; do
  family=$(basename "$source" .cu)
  families="$families $family"
  key=$( (cat "$source" "$here"/*.cuh "$here"/build.sh "$here"/report.awk; "$nvcc" --version) | cksum | tr ' ' -)
  kept=$cache/$family-$key
  if [ ! -f "$kept.fatbin" ]; then
    echo "nvcc: $family"
    case $family in
      *_wgmma) targets=$hopper ;;
      *) targets=$all ;;
    esac
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    "$nvcc" -std=c++17 -O3 -Xptxas -v --threads 2 $targets --keep --keep-dir "$work" -fatbin "$source" \
      -o "$work/$family.fatbin" > "$work/$family.ptxas" 2>&1 || {
      cat "$work/$family.ptxas" >&2
      exit 1
    }
    if command -v cuobjdump > /dev/null 2>&1; then
      cuobjdump -sass "$work/$family.fatbin" > "$work/$family.sass"
    fi
    LC_ALL=C awk -v family="$family" -f "$here/report.awk" "$work"/*.ptxas "$work"/*.ptx $(ls "$work"/*.sass 2> /dev/null) \
      > "$kept.report"
    cp "$work/$family.fatbin" "$kept.$$.tmp"
    mv "$kept.$$.tmp" "$kept.fatbin"
    rm -rf "$work"
  fi
  cp "$kept.fatbin" "$out/$family.fatbin"
  cp "$kept.report" "$out/$family.report"
done
for family in $families; do
  sort "$out/$family.report"
  rm "$out/$family.report"
done > "$out/report.txt"
awk -f "$here/table.awk" "$out/report.txt" > "$out/report.md"
awk '{kernels += !seen[$3]++; devices += !met[$1]++; cores += $9 > 0 && !core[$3]++; spilling += $8 > 0
      if ($5 > most) {most = $5; name = $3 " on " $1}}
     END {printf "%d kernels for %d devices: %d with tensor-core instructions, %d spill; at most %d registers (%s)\n", \
       kernels, devices, cores, spilling, most, name}' "$out/report.txt"
echo "report: $out/report.txt, $out/report.md"
awk '$2 ~ /^(attention|product|norm)/ && $3 ~ /_fwd_/ && $8 > 0 {print $3 " on " $1 " spills " $8 " bytes of registers"; bad = 1}
     $2 ~ /mma$/ && $2 !~ /_fma$/ && $3 ~ /_fwd_/ && $9 == 0 {print $3 " on " $1 " has no tensor-core instructions"; bad = 1}
     END {exit bad}' "$out/report.txt" >&2
