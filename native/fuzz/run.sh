#!/bin/sh
# Builds the harnesses with clang and runs each: `run.sh BUILD LIBFUZZER_OPTION...`, for example `-max_total_time=60`.
# Without clang or its libFuzzer there is nothing to run, and that is said.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
build=$1
shift
mkdir -p "$build"
cd "$source"
for harness in scanner document config digest; do
    if ! clang -std=gnu11 -D_GNU_SOURCE -O2 -g -Wno-unknown-pragmas -fsanitize=fuzzer,address,undefined \
        -fno-sanitize-recover=undefined -I. -isystem vendor base/*.c json/*.c digest/*.c "fuzz/$harness.c" -o "$build/$harness"; then
        echo "fuzzing is skipped: it needs clang with libFuzzer" >&2
        exit 0
    fi
done
for harness in scanner document config digest; do
    mkdir -p "$build/corpus-$harness"
    echo "== $harness"
    "$build/$harness" -dict=fuzz/json.dict -max_len=4096 -print_final_stats=1 -artifact_prefix="$build/" "$@" \
        "$build/corpus-$harness" fuzz/seeds 2>&1 | grep -E "stat::number_of_executed_units|ERROR|SUMMARY|Test unit" ||
        exit 1
    [ -z "$(find "$build" -maxdepth 1 \( -name 'crash-*' -o -name 'timeout-*' -o -name 'oom-*' -o -name 'leak-*' \))" ]
done
