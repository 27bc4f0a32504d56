#!/usr/bin/env bash
# build.sh FOLDER: the stub as FOLDER/cann-8 (one libopapi.so), FOLDER/cann-9 (split, with versions of ops that came later)
# and FOLDER/cann-plain (without fused ops), each with lib64 as CANN has it.
set -euo pipefail
source_folder=$(cd "$(dirname "$0")" && pwd)
out=$1
objects=$out/objects
mkdir -p "$objects"

compile() { # NAME OBJECT FLAGS...
  ${CXX:-g++} -std=c++20 -O1 -fPIC -Wall -Wextra -fvisibility=hidden ${STUB_FLAGS:-} "${@:3}" -c "$source_folder/$1.cpp" -o "$objects/$2.o"
}
jobs=()
for name in runtime memory objects ops_elementwise ops_move ops_nn ops_layers ops_fused ops_quant ops_transformer hccl; do
  compile "$name" "$name" &
  jobs+=($!)
done
for name in ops_quant ops_transformer; do
  compile "$name" "${name}_9" -DCANN_9 &
  jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job"; done

library() { # FOLDER NAME LIBRARIES OBJECTS...
  local folder=$1 name=$2 needs=$3
  shift 3
  local inputs=("${@/#/$objects/}")
  ${CXX:-g++} -shared ${STUB_FLAGS:-} -Wl,-soname,"$name" -Wl,-rpath,'$ORIGIN' -o "$folder/$name" "${inputs[@]/%/.o}" -L"$folder" $needs
}
for layout in cann-8 cann-9 cann-plain; do
  folder=$out/$layout/lib64
  mkdir -p "$folder"
  library "$folder" libascendcl.so "" runtime memory
  library "$folder" libnnopbase.so "-lascendcl" objects
  library "$folder" libhccl.so "-lascendcl" hccl
done
all="-lnnopbase -lascendcl"
plain="ops_elementwise ops_move ops_nn ops_layers"
library "$out/cann-plain/lib64" libopapi.so "$all" $plain
library "$out/cann-8/lib64" libopapi.so "$all" $plain ops_fused ops_quant ops_transformer
library "$out/cann-9/lib64" libopapi_math.so "$all" ops_elementwise ops_move
library "$out/cann-9/lib64" libopapi_nn.so "$all" ops_nn ops_layers ops_fused ops_quant_9
library "$out/cann-9/lib64" libopapi_transformer.so "$all" ops_transformer_9
