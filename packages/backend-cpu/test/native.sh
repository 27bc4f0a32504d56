#!/usr/bin/env bash
# Compiles the kernels of every ISA level together with native/test and runs them under the address and undefined
# behaviour sanitizers, without Node. Objects are kept in native/test/build and compiled again when a source changed.
set -euo pipefail
cd "$(dirname "$0")/../native"

compiler=${CXX:-$(command -v g++ || command -v clang++ || true)}
[ -n "$compiler" ] || { echo "native tests need g++ or clang++" >&2; exit 75; }
out=test/build
mkdir -p "$out"

common=(-std=c++20 -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
  -Wall -Wextra -Wno-psabi -ffp-contract=off -fno-math-errno -fno-trapping-math)
"$compiler" --version | grep -qi clang || common+=(-Wno-maybe-uninitialized -Wno-uninitialized -Wno-ignored-attributes)
levels=(scalar)
baseline=()
if [ "$(uname -m)" = x86_64 ]; then
  levels=(scalar avx2 avx512 avx512bf16 amx)
  baseline=(-march=x86-64-v2)
fi
level_flags() {
  case $1 in
    scalar) echo "${baseline[*]}" ;;
    avx2) echo "-march=x86-64-v3" ;;
    avx512) echo "-march=x86-64-v4 -mprefer-vector-width=512" ;;
    avx512bf16) echo "-march=x86-64-v4 -mprefer-vector-width=512 -mavx512vnni -mavx512bf16" ;;
    amx) echo "$(level_flags avx512bf16) -mamx-tile -mamx-bf16 -mamx-int8" ;;
  esac
}
families_in() { sed -n "/define $1/,/^\$/p" core/families.hpp | grep -o 'X([a-z_]*)' | tr -d 'X()' | tr '_' '-'; }
bf16_families=$(families_in FRUGAL_BF16_FAMILIES)
amx_families=$(families_in FRUGAL_AMX_FAMILIES)

# One line per object: OBJECT SOURCE FLAGS…
jobs_list() {
  local source level
  for level in "${levels[@]}"; do
    for source in kernels/*.cpp; do
      if [ "$level" = avx512bf16 ] && ! grep -qx "$(basename "$source" .cpp)" <<<"$bf16_families"; then continue; fi
      if [ "$level" = amx ] && ! grep -qx "$(basename "$source" .cpp)" <<<"$amx_families"; then continue; fi
      echo "$out/$(basename "$source" .cpp).$level.o $source -DFRUGAL_ISA=$level $(level_flags "$level")"
    done
  done
  for source in core/cpu.cpp core/huge-pages.cpp core/pool.cpp core/registry.cpp test/*.cpp; do
    echo "$out/$(basename "$source" .cpp).o $source ${baseline[*]}"
  done
}

export compiler common_flags="${common[*]}"
compile() {
  local object=$1 source=$2 headers=(core simd kernels)
  shift 2
  case $source in test/*) headers=(core test) ;; esac
  if [ -f "$object" ] && [ -z "$(find "$source" "${headers[@]}" \( -name '*.hpp' -o -path "$source" \) -newer "$object")" ]; then return; fi
  # shellcheck disable=SC2086
  "$compiler" $common_flags "$@" -c "$source" -o "$object"
}
export -f compile
jobs_list | xargs -P "$(nproc)" -I{} bash -c 'compile {}'
mapfile -t objects < <(jobs_list | cut -d' ' -f1)
"$compiler" -fsanitize=address,undefined "${objects[@]}" -pthread -o "$out/native-tests"
UBSAN_OPTIONS=print_stacktrace=1 "$out/native-tests"
