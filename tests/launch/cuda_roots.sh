#!/usr/bin/env bash
# A root that is named is where cuDNN and NCCL are looked for, and nowhere else: cuda_roots.sh SOURCES CMAKE
set -euo pipefail
sources=$1
cmake=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CUDNN_ROOT NCCL_ROOT

# make_root FOLDER CUDNN_MINOR NCCL_MINOR
make_root() {
  mkdir -p "$1/include" "$1/lib64"
  printf '#define CUDNN_MAJOR 9\n#define CUDNN_MINOR %s\n#define CUDNN_PATCHLEVEL 0\n' "$2" >"$1/include/cudnn_version.h"
  printf '#define NCCL_MAJOR 2\n#define NCCL_MINOR %s\n#define NCCL_PATCH 0\n' "$3" >"$1/include/nccl.h"
  touch "$1/lib64/libcudnn.so" "$1/lib64/libnccl.so"
}
make_root "$work/toolkit" 19 28
make_root "$work/other" 11 20

# expect TEXT OPTION...: configures, after what was configured before, and wants TEXT to be printed.
expect() {
  local text=$1
  shift
  "$cmake" -S "$sources/tests/launch/cuda_roots" -B "$work/build" -DFIND_MODULES="$sources/launch/cmake" -DTOOLKIT="$work/toolkit" "$@" >"$work/out" 2>&1
  grep -qF -- "$text" "$work/out" && return
  echo "error: cmake $* does not print: $text"
  cat "$work/out"
  exit 1
}
expect "CUDNN 'TRUE' '$work/toolkit/lib64/libcudnn.so' '9.19.0' NCCL 'TRUE' '$work/toolkit/lib64/libnccl.so' '2.28.0'"
expect "CUDNN 'TRUE' '$work/other/lib64/libcudnn.so' '9.11.0' NCCL 'TRUE' '$work/toolkit/lib64/libnccl.so' '2.28.0'" -DCUDNN_ROOT="$work/other"
expect "CUDNN 'FALSE' 'CUDNN_LIBRARY-NOTFOUND' '' NCCL 'FALSE' 'NCCL_LIBRARY-NOTFOUND' ''" -DCUDNN_ROOT=/nonexistent -DNCCL_ROOT=/nonexistent
export NCCL_ROOT="$work/other"
expect "'$work/other/lib64/libnccl.so' '2.20.0'" -DCUDNN_ROOT= -DNCCL_ROOT=
rm -r "$work/build"
NCCL_ROOT=/nonexistent expect "NCCL 'FALSE'"
