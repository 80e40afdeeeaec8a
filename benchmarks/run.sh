#!/bin/sh
# Builds the benchmarks and runs them; arguments go to JMH. Results are written to benchmarks/results.
#   benchmarks/run.sh                                       everything
#   benchmarks/run.sh AttentionBenchmark -p dtype=BF16      one class, one type
#   benchmarks/run.sh -lp                                   what there is
set -eu
cd "$(dirname "$0")/.."
mvn -q -B -DskipTests -pl benchmarks -am package
exec java -jar benchmarks/target/benchmarks.jar "$@"
