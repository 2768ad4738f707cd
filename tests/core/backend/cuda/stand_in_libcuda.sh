#!/usr/bin/env bash
# Makes a driver library that loads and does nothing: stand_in_libcuda.sh STUB OUTPUT
#
# cuDNN plans for a described device without a GPU, but loads libcuda.so.1 for it. STUB is the CUDA Toolkit's own
# stubs/libcuda.so, which names the functions. Here they all fail with CUDA_ERROR_STUB_LIBRARY, but for those with
# which cuDNN loads what it has just compiled.
set -euo pipefail
stub=${1:?usage: stand_in_libcuda.sh STUB OUTPUT}
output=${2:?usage: stand_in_libcuda.sh STUB OUTPUT}
mkdir -p "$(dirname "$output")"

loading='^cu(LibraryLoadData|LibraryGetKernel|LibraryGetModule|KernelGetFunction|ModuleLoadData(Ex)?|ModuleGetFunction)$'
setting='^cu(KernelSetAttribute|FuncSetAttribute|KernelSetCacheConfig|LibraryUnload|ModuleUnload)$'
nm -D --defined-only "$stub" | awk '$2 ~ /^[TW]$/ { sub(/@.*/, "", $3); print $3 }' | sort -u |
  awk -v loading="$loading" -v setting="$setting" '
    $0 ~ loading { print "int " $0 "(void** handle) { static char one; *handle = &one; return 0; }"; next }
    $0 ~ setting { print "int " $0 "(void) { return 0; }"; next }
    { print "int " $0 "(void) { return 34; }" }' |
  cc -x c -w -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$output" -
