#!/usr/bin/env bash
# Kills train, cache, export and convert with SIGKILL at random moments, lets them end, and compares what
# they wrote with what an undisturbed run writes, byte for byte (but for the time in a model card).
#
#   benchmarks/kill.sh [KILLS]                       30 of each by default
#   CHECKPOINT=sd15.safetensors LIKE=DIR benchmarks/kill.sh     with convert, which needs a checkpoint
#
# LONGALIGN is the command (default: ./longalign); WORK the directory (default: a new one below /tmp).
set -euo pipefail
kills=${1:-30}
longalign=${LONGALIGN:-$(cd "$(dirname "$0")/.." && pwd)/longalign}
work=${WORK:-$(mktemp -d)}
mkdir -p "$work"
cd "$work"
RANDOM=1
failed=0

now() { date +%s%N; }

# Hashes of all files of a directory, hidden ones included; the card has the time of the export in it.
sums() {
  (cd "$1" && find . -type f ! -name model-card.json ! -name README.md ! -name 'events*' -print0 | sort -z | xargs -0 sha256sum)
}

# once NAME COMMAND...: undisturbed; leaves how long it took in $took (ms).
once() {
  local name=$1 begin
  shift
  begin=$(now)
  "$@" >"$name.log" 2>&1 || { cat "$name.log"; exit 1; }
  took=$((($(now) - begin) / 1000000))
}

# killed MOST COMMAND...: kills it after a random time of up to MOST ms; tells whether it was still running.
killed() {
  local ms=$(((RANDOM * 32768 + RANDOM) % $1 + 200)) rc=0
  shift
  timeout -s KILL "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))" "$@" >killed.log 2>&1 || rc=$?
  [ $rc = 137 ]
} 2>/dev/null # where bash would say that it was killed

# report WHAT REFERENCE RESULT FELL
report() {
  local left
  left=$(find . -maxdepth 2 -name '.*.lock' -o -maxdepth 2 -name '.*-*-*-*-*' | wc -l)
  if diff <(sums "$2") <(sums "$3") >"$1.diff"; then
    echo "$1: $kills kills, $4 before the end; result equal; $left hidden files left"
  else
    echo "$1: $kills kills, $4 before the end; RESULT DIFFERS ($work/$1.diff)"
    failed=1
  fi
}

config() { printf 'output: %s\nsteps: 20\nrank: 4\nresolution: 64\nwarmupSteps: 0\nsaveEvery: 1\nemaDecay: 0.9\naccumulation: 2\n' "$1" >"$1.yaml"; }

config train-whole
config train-killed
once train "$longalign" train align --config train-whole.yaml
fell=0
for ((i = 0; i < kills; i++)); do # short lives, since each goes on where the last one ended
  killed $((took / 2)) "$longalign" train align --config train-killed.yaml && fell=$((fell + 1))
done
once train "$longalign" train align --config train-killed.yaml
report train train-whole train-killed "$fell"

once cache "$longalign" cache --data panels:long:150 --out cache-whole
fell=0
for ((i = 0; i < kills; i++)); do
  killed "$took" "$longalign" cache --data panels:long:150 --out cache-killed && fell=$((fell + 1))
done
once cache "$longalign" cache --data panels:long:150 --out cache-killed
report cache cache-whole cache-killed "$fell"

# Over an earlier export, which has to stay whole until the new one is.
export=("$longalign" export --from train-whole/export/lora_vis.pt --format longalign,kohya,peft,diffusers,merged --out)
once export "${export[@]}" export-whole
fell=0
halves=0
for ((i = 0; i < kills; i++)); do
  killed "$took" "${export[@]}" export-killed && fell=$((fell + 1))
  if [ -d export-killed ] && ! diff <(sums export-whole) <(sums export-killed) >/dev/null; then
    halves=$((halves + 1))
  fi
done
once export "${export[@]}" export-killed
report export export-whole export-killed "$fell"
[ "$halves" = 0 ] || { echo "export: half-written $halves times"; failed=1; }

if [ -n "${CHECKPOINT:-}" ]; then
  convert=("$longalign" convert "$CHECKPOINT" ${LIKE:+--like "$LIKE"} --out)
  once convert "${convert[@]}" convert-whole
  fell=0
  halves=0
  for ((i = 0; i < kills; i++)); do
    killed "$took" "${convert[@]}" convert-killed && fell=$((fell + 1))
    if [ -d convert-killed ]; then
      diff <(sums convert-whole) <(sums convert-killed) >/dev/null || halves=$((halves + 1))
      rm -rf convert-killed # convert wants a new directory
    fi
  done
  once convert "${convert[@]}" convert-killed
  report convert convert-whole convert-killed "$fell"
  [ "$halves" = 0 ] || { echo "convert: half-written $halves times"; failed=1; }
fi
exit $failed
