#!/bin/sh
# The paper in miniature: one experiment a command; see benchmarks/README.md and --help of each.
#   benchmarks/miniature.sh align                   long captions, before and after training
#   benchmarks/miniature.sh reward                  with 1, 0.3 and 0 of the text-irrelevant part
#   benchmarks/miniature.sh lcm                     four steps against 25
# What was interrupted continues when it is started again. MINIATURE_JAR: a jar that is built already.
set -eu
cd "$(dirname "$0")/.."
jar="${MINIATURE_JAR:-}"
if [ -z "$jar" ]; then
  ./mvnw -q -B -ntp -DskipTests -pl benchmarks -am package
  jar=benchmarks/target/benchmarks.jar
fi
exec java -Xss4m -Djava.awt.headless=true -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
  -cp "$jar" dev.longalign.benchmarks.miniature.Miniature "$@"
