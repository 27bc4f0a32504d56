#!/usr/bin/env bash
# build.sh FOLDER: the stub as FOLDER/cann-8 (one libopapi.so) and FOLDER/cann-9 (split), each with lib64 as CANN has it.
set -euo pipefail
source_folder=$(cd "$(dirname "$0")" && pwd)
out=$1
objects=$out/objects
mkdir -p "$objects"

compile() {
  ${CXX:-g++} -std=c++20 -O1 -fPIC -Wall -Wextra -fvisibility=hidden ${STUB_FLAGS:-} -c "$source_folder/$1.cpp" -o "$objects/$1.o"
}
jobs=()
for name in runtime memory objects ops_elementwise ops_move ops_nn ops_layers; do
  compile "$name" &
  jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job"; done

library() { # FOLDER NAME LIBRARIES OBJECTS...
  local folder=$1 name=$2 needs=$3
  shift 3
  local inputs=("${@/#/$objects/}")
  ${CXX:-g++} -shared ${STUB_FLAGS:-} -Wl,-soname,"$name" -Wl,-rpath,'$ORIGIN' -o "$folder/$name" "${inputs[@]/%/.o}" -L"$folder" $needs
}
for layout in cann-8 cann-9; do
  folder=$out/$layout/lib64
  mkdir -p "$folder"
  library "$folder" libascendcl.so "" runtime memory
  library "$folder" libnnopbase.so "-lascendcl" objects
done
all="-lnnopbase -lascendcl"
library "$out/cann-8/lib64" libopapi.so "$all" ops_elementwise ops_move ops_nn ops_layers
library "$out/cann-9/lib64" libopapi_math.so "$all" ops_elementwise ops_move
library "$out/cann-9/lib64" libopapi_nn.so "$all" ops_nn ops_layers
