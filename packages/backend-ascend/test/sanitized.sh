#!/usr/bin/env bash
# Runs tests of this package on a stub that is compiled with the address and undefined behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$0")/../../.."
compiler=${CXX:-g++}
library=$("$compiler" -print-file-name=libasan.so 2>/dev/null || true)
[ -f "$library" ] || { echo "skipped: the stub's sanitizers need g++ with libasan"; exit 0; }

export FRUGAL_ASCEND_STUB=$PWD/.cache/ascend-stub/sanitized
STUB_FLAGS='-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer' \
  bash packages/backend-ascend/stub/build.sh "$FRUGAL_ASCEND_STUB"
# Node itself is not clean of leaks; the stub counts its own.
ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$library node node_modules/vitest/vitest.mjs run \
  packages/backend-ascend/test/{rules,layouts,loading,conformance-values}.test.ts
# TensorFlow, which the same file tests, has no place in this process.
FRUGAL_TENSORFLOW=none ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$library node node_modules/vitest/vitest.mjs run \
  tests/small-llama.test.ts -t 'the stub of CANN'
