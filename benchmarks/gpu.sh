#!/bin/sh
# Tests and measures the CUDA backend on this machine's GPU, and prints one table last:
#   benchmarks/gpu.sh [--results DIR]     from a clone: builds with Maven first (--no-build: takes what is built)
#   benchmarks/gpu.sh --bundle DIR        makes a folder of at most 64 MiB that runs without Java, Maven or a network:
#   DIR/gpu.sh [--results DIR]            the same from there
# In this order: the contract of all backends, the golden models and training steps on the real driver (f32 within 1e-4, bf16
# within 2e-2 of the largest magnitude); the operations by the device's clock and the sample loop, at the size of Stable
# Diffusion 1.5 in bf16; the device's memory over 1000 samples of a tiny model; PyTorch at the same shapes, where python3 has
# torch and sees the GPU; part of the contract under compute-sanitizer's memcheck, racecheck and synccheck, if it is installed;
# `longalign verify` on the golden vectors (from a clone); the UNet and the loop by JMH. About six minutes; each part has a
# limit of time, and one that fails is named at the end.
# Without a GPU it says so, measures the CPU briefly and succeeds.
# --quick: tiny shapes, for trying the script itself.
set -eu
usage() {
  sed -n '2,14s/^# \{0,1\}//p' "$0"
  exit "$1"
}
here=$(cd "$(dirname "$0")" && pwd)
bundle=
results=
quick=
build=true
while [ $# -gt 0 ]; do
  case $1 in
    --bundle) bundle=${2:?--bundle needs a folder}; shift ;;
    --results) results=${2:?--results needs a folder}; shift ;;
    --quick) quick=true ;;
    --no-build) build= ;;
    -h | --help) usage 0 ;;
    *) echo "gpu.sh: unknown argument $1" >&2; usage 2 >&2 ;;
  esac
  shift
done

case "$here$PWD$results" in
  *[[:space:]]*) echo "gpu.sh: needs paths without blanks, found '$here', '$PWD'${results:+, '$results'}" >&2; exit 2 ;;
esac

# ---- in a clone: build, and put together what runs

repository=${MAVEN_REPOSITORY:-${HOME:-}/.m2/repository}
junit=org/junit/platform/junit-platform-console-standalone
junit_version=1.14.4  # goes with junit.version

# artifact GROUP/NAME PROPERTY|VERSION [-CLASSIFIER]: its jar in the local repository, of the version that the parent POM has.
artifact() {
  version=$(sed -n "s#.*<$2>\(.*\)</$2>.*#\1#p" "$here/../pom.xml")
  jar=$repository/$1/${version:-$2}/$(basename "$1")-${version:-$2}${3:-}.jar
  if [ ! -f "$jar" ]; then
    echo "gpu.sh: $jar is missing; run without --no-build, or set MAVEN_REPOSITORY" >&2
    return 1
  fi
  echo "$jar"
}

# assemble FOLDER: classes, tests, libraries and golden vectors of this clone.
assemble() {
  rm -rf "$1/lib" "$1/golden"
  mkdir -p "$1/lib" "$1/golden/models/tiny-longsd" "$1/peers"
  cp "$here/gpu.sh" "$1/"
  cp "$here/peers/torch_peer.py" "$1/peers/"
  root=$here/..
  for part in longalign-api/target/classes longalign-api/target/test-classes longalign-cuda/target/classes \
    longalign-cuda/target/test-classes benchmarks/target/classes; do
    from=${LONGALIGN_CLASSES:-$root}/$part
    [ -d "$from" ] || { echo "gpu.sh: $part is not built; run without --no-build" >&2; exit 1; }
    jar=$1/lib/$(echo "$part" | sed 's#/target/#-#').jar
    # The embedded model and its encoders are not measured here.
    (cd "$from" && find . -type f ! -path '*/embedded/longsd-mini/*' ! -name module-info.class | sed 's#^\./##' > "$jar.list" &&
      jar --create --file "$jar" "@$jar.list")
    rm "$jar.list"
  done
  while read -r name version classifier; do
    from=$(artifact "$name" "$version" "$classifier")
    cp "$from" "$1/lib/"
  done << END
com/google/code/gson/gson gson.version
org/slf4j/slf4j-api slf4j.version
org/slf4j/slf4j-simple slf4j.version
org/apache/commons/commons-math3 commons-math.version
org/bytedeco/javacpp javacpp.version
org/bytedeco/javacpp javacpp.version -linux-x86_64
org/bytedeco/dnnl dnnl.version
org/bytedeco/dnnl dnnl.version -linux-x86_64
org/bytedeco/opencl opencl.version
org/bytedeco/opencl opencl.version -linux-x86_64
org/jcuda/jcuda jcuda.version
org/jcuda/jcublas jcuda.version
org/jcuda/jcublas-natives jcuda.version -linux-x86_64
org/openjdk/jmh/jmh-core jmh.version
net/sf/jopt-simple/jopt-simple 5.0.4
org/assertj/assertj-core assertj.version
$junit $junit_version
END
  # Of JCuda's native libraries only the driver's and NVRTC's (its PTX compiler alone takes 9 MB), of JNA's only ours.
  natives=$(artifact org/jcuda/jcuda-natives jcuda.version -linux-x86_64)
  jna=$(artifact net/java/dev/jna/jna jna.version)
  work=$(mktemp -d)
  (cd "$work" && jar --extract --file "$natives" && jar --create --file "$1/lib/jcuda-natives.jar" lib/libJCudaDriver* lib/libJNvrtc*
    mkdir jna && cd jna && jar --extract --file "$jna" && cd com/sun/jna &&
      find . -name '*jnidispatch*' ! -path './linux-x86-64/*' -exec rm {} + && cd ../../.. && jar --create --file "$1/lib/jna.jar" com)
  rm -rf "$work"
  for file in unet/forward unet/vae align/one_step align/trajectory lcm/epsilon; do
    mkdir -p "$1/golden/$(dirname "$file")"
    cp "$root/longalign-api/src/test/golden/$file".* "$1/golden/$(dirname "$file")/"
  done
  for part in unet unet_train vae scheduler s28750_adapter lora_layout.json lora_train_init.pt model_index.json; do
    cp -r "$root/longalign-api/src/test/golden/models/tiny-longsd/$part" "$1/golden/models/tiny-longsd/"
  done
  (cd "$root" && git rev-parse --short=12 HEAD 2> /dev/null || echo unknown) > "$1/commit"
}

if [ ! -d "$here/lib" ] && [ -f "$here/../mvnw" ]; then
  if [ -n "$build" ]; then
    (cd "$here/.." && ./mvnw -q -B -ntp -DskipTests -pl benchmarks,longalign-cli -am package &&
      ./mvnw -q -B -ntp dependency:get -Dartifact=org.junit.platform:junit-platform-console-standalone:$junit_version)
  fi
  if [ -n "$bundle" ]; then
    mkdir -p "$bundle"
    bundle=$(cd "$bundle" && pwd)
    assemble "$bundle"
    # The runtime of an earlier bundle there is kept.
    if [ ! -f "$bundle/jre.tar.gz" ]; then
      work=$(mktemp -d)
      jlink --add-modules java.base,java.logging,java.management,java.naming,java.xml,jdk.unsupported --strip-debug \
        --no-header-files --no-man-pages --output "$work/jre"
      tar -C "$work" -cf - jre | gzip -9 > "$work/jre.tar.gz"
      mv "$work/jre.tar.gz" "$bundle/"
      rm -rf "$work"
    fi
    size=$(du -sk "$bundle" | cut -f 1)
    if [ "$size" -gt 65536 ]; then
      echo "more than 64 MiB: leaves out oneDNN, with which a machine without a GPU would have measured its CPU"
      rm "$bundle"/lib/dnnl-*-linux-x86_64.jar
      size=$(du -sk "$bundle" | cut -f 1)
    fi
    echo "$bundle: $((size / 1024)) MiB; copy it to the machine with the GPU and run gpu.sh there"
    exit 0
  fi
  assemble "$here/target/gpu"
  export LONGALIGN_ROOT="$(cd "$here/.." && pwd)"
  exec sh "$here/target/gpu/gpu.sh" --results "${results:-$here/results/gpu-$(date -u +%Y%m%d-%H%M%S)}" ${quick:+--quick}
fi

# ---- in the folder: run

results=${results:-$PWD/results-$(date -u +%Y%m%d-%H%M%S)}
mkdir -p "$results"
results=$(cd "$results" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -f "$here/jre.tar.gz" ]; then
  tar -C "$work" -xzf "$here/jre.tar.gz"
  java=$work/jre/bin/java
else
  java=${JAVA_HOME:+$JAVA_HOME/bin/}java
fi
classpath=$(echo "$here"/lib/*.jar | tr ' ' ':')
options="-Xmx4g -Djava.io.tmpdir=$work -Dorg.bytedeco.javacpp.cachedir=$work/javacpp -Dlongalign.results=$results ${quick:+-Dlongalign.quick=true} ${LONGALIGN_JAVA_OPTIONS:-}"
failed=
summary=$results/summary.txt
: > "$summary"

# part NAME SECONDS COMMAND...: its output goes to NAME.log; a failure is noted, not fatal.
part() {
  name=$1
  limit=$2${quick:+0}  # the emulator, which --quick is for, takes longer
  shift 2
  begin=$(date +%s)
  echo "== $name"
  if timeout "$limit" "$@" > "$results/$name.log" 2>&1; then
    state=passed
  else
    status=$?
    state="FAILED, exit status $status"
    [ "$status" -ne 124 ] || state="NOT FINISHED in $limit s"
    failed="$failed $name"
    tail -n 15 "$results/$name.log"
  fi
  echo "$name: $state, $(($(date +%s) - begin)) s" | tee -a "$summary"
}

tests() {
  # shellcheck disable=SC2086
  set -- $options -Dlongalign.test.gpu=true -Dlongalign.golden="$here/golden" -cp "$classpath" \
    org.junit.platform.console.ConsoleLauncher execute --disable-banner --details=summary --disable-ansi-colors "$@"
  echo "$java" "$@"
}

if ! "$java" $options -cp "$classpath" dev.longalign.benchmarks.GpuRun probe > "$work/probe"; then
  echo "No GPU to test or measure: $(cat "$work/probe")"
  if ! ls "$here"/lib/dnnl-*-linux-x86_64.jar > /dev/null 2>&1; then
    echo "This bundle has no CPU backend: nothing to measure."
    exit 0
  fi
  echo "Measuring the CPU briefly instead."
  part cpu 240 "$java" $options -cp "$classpath" dev.longalign.benchmarks.Benchmarks '(Attention|Resnet)Benchmark' \
    -p device=cpu -p dtype=F32 -p layer=tiny -f 0 -wi 1 -w 200ms -i 2 -r 200ms
  "$java" $options -cp "$classpath" dev.longalign.benchmarks.GpuRun table "$results"
  exit 0
fi
echo "GPU: $(cat "$work/probe"); results in $results"

tests=dev.longalign.tensor.cuda
if [ -n "$quick" ]; then
  selection="-m $tests.CudaBackendContractTest#attentionWithCommonShift"
  checked=$selection
  raced=$selection
  what="-p model=tiny -p steps=1 -wi 0 -i 1 -r 1ms"
  loop="tiny 1"
  samples=2
else
  training=$tests.CudaTrainingGoldenTest
  selection="-c $tests.CudaBackendContractTest -c $tests.HopperContractTest -c $tests.CudaModelGoldenTest"
  selection="$selection -m $training#oneStep -m $training#fiveSteps -m $training#lcmStep"
  checked="-m $tests.CudaBackendContractTest#linear -c $tests.HopperContractTest"
  raced="-m $tests.HopperContractTest#attention"
  what="-p model=sd15 -wi 1 -w 300ms -i 2 -r 300ms"
  loop="sd15 25"
  samples=1000
fi
# shellcheck disable=SC2046,SC2086
part tests 90 $(tests $selection)
# shellcheck disable=SC2086
part operations 60 "$java" $options -cp "$classpath" dev.longalign.benchmarks.GpuRun operations cuda BF16 "$results/operations.json"
# shellcheck disable=SC2086
part breakdown 60 "$java" $options -cp "$classpath" dev.longalign.benchmarks.GpuRun breakdown cuda BF16 $loop "$results/breakdown.json"
# shellcheck disable=SC2086
part endurance 60 "$java" $options -cp "$classpath" dev.longalign.benchmarks.GpuRun endurance BF16 "$samples" "$results/endurance.json"
if python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' > /dev/null 2>&1; then
  part peer 180 python3 "$here/peers/torch_peer.py" "$results/peer.json"
else
  echo "python3 has no torch that sees the GPU: nothing to compare with" | tee -a "$summary"
fi
if command -v compute-sanitizer > /dev/null 2>&1; then
  # shellcheck disable=SC2046,SC2086
  part sanitizer-memcheck 40 compute-sanitizer --tool memcheck --error-exitcode 1 $(tests $checked)
  for tool in racecheck synccheck; do
    # shellcheck disable=SC2046,SC2086
    part "sanitizer-$tool" 40 compute-sanitizer --tool "$tool" --error-exitcode 1 $(tests $raced)
  done
else
  echo "compute-sanitizer is not installed: no memcheck, racecheck, synccheck" | tee -a "$summary"
fi
cli=${LONGALIGN_ROOT:+$(ls "$LONGALIGN_ROOT"/longalign-cli/target/longalign-cli-*.jar 2> /dev/null | head -n 1)}
if [ -n "$cli" ] && [ -z "$quick" ]; then
  part verify 60 "$java" -jar "$cli" verify "$LONGALIGN_ROOT/longalign-api/src/test/golden" --device cuda
else
  echo "longalign verify: from a clone only; the golden models above are the same vectors" | tee -a "$summary"
fi
# shellcheck disable=SC2086
part benchmarks 100 "$java" $options -cp "$classpath" dev.longalign.benchmarks.Benchmarks \
  '\.(UNet|Sample)Benchmark\.' -p device=cuda -p dtype=BF16 $what -f 0

echo
cat "$summary"
echo
# shellcheck disable=SC2086
"$java" $options -cp "$classpath" dev.longalign.benchmarks.GpuRun table "$results" | tee "$results/table.txt"
if [ -n "$failed" ]; then
  echo "FAILED:$failed (logs in $results)"
  exit 1
fi
