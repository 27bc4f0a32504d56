#!/usr/bin/env bash
# Compiles the kernels of every ISA level together with native/test and runs them without Node. Objects are kept in
# native/test/build and compiled again when a source changed.
#
#   native.sh          for this machine, under the address and undefined behaviour sanitizers
#   native.sh arm64    the NEON version for 64-bit ARM, run by qemu-user elsewhere (Debian: g++-aarch64-linux-gnu, qemu-user);
#                      exits with 75 and says what is missing
set -euo pipefail
cd "$(dirname "$0")/../native"

machine=$(uname -m) target=${1:-$(uname -m)}
[ "$target" != arm64 ] || target=aarch64
out=test/build
run=()
if [ "$target" = "$machine" ]; then
  compiler=${CXX:-$(command -v g++ || command -v clang++ || true)}
  [ -n "$compiler" ] || { echo "native tests need g++ or clang++" >&2; exit 75; }
  sanitize="-fsanitize=address,undefined"
  checks=(-O1 -g1 "$sanitize" -fno-sanitize-recover=all -fno-omit-frame-pointer)
  linking=("$sanitize")
elif [ "$target" = aarch64 ]; then
  compiler=${ARM64_CXX:-aarch64-linux-gnu-g++}
  command -v "$compiler" >/dev/null || { echo "no cross compiler $compiler (Debian: g++-aarch64-linux-gnu)" >&2; exit 75; }
  command -v qemu-aarch64 >/dev/null || { echo "no qemu-aarch64 (Debian: qemu-user)" >&2; exit 75; }
  out=test/build-arm64
  # The flags of build.mjs, so that the code under test is the code that ships: sanitizers do not run under qemu-user.
  checks=(-O2)
  linking=(-static)
  run=(qemu-aarch64)
else
  echo "native tests run for $machine and arm64, not for $target" >&2
  exit 2
fi
mkdir -p "$out"

common=(-std=c++20 "${checks[@]}" -Wall -Wextra -Wno-psabi -ffp-contract=off -fno-math-errno -fno-trapping-math)
"$compiler" --version | grep -qi clang || common+=(-Wno-maybe-uninitialized -Wno-uninitialized -Wno-ignored-attributes)
levels=(scalar)
baseline=()
if [ "$target" = x86_64 ]; then
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
  for source in core/cpu.cpp core/huge-pages.cpp core/joining.cpp core/pool.cpp core/registry.cpp test/*.cpp; do
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
"$compiler" "${linking[@]}" "${objects[@]}" -pthread -o "$out/native-tests"
UBSAN_OPTIONS=print_stacktrace=1 "${run[@]}" "$out/native-tests"
