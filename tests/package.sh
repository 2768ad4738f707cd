#!/usr/bin/env bash
# The archive unpacks anywhere and starts, with its own libraries: package.sh BUILD-FOLDER
set -euo pipefail
build=${1:?usage: package.sh BUILD-FOLDER}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

(cd "$build" && cpack -B "$scratch/made" >"$scratch/log" 2>&1) || {
  cat "$scratch/log"
  exit 1
}
mkdir "$scratch/else where"
tar -xzf "$scratch"/made/weft-*.tar.gz -C "$scratch/else where"
root=$(echo "$scratch/else where"/weft-*)

"$root/bin/weft" --version
for file in share/bash-completion/completions/weft share/weft/configs share/doc/weft/LICENSE; do
  [ -e "$root/$file" ] || { echo "the archive lacks $file"; exit 1; }
done

# What may come from the system: the C and C++ run time, NVIDIA's libraries, and Open MPI with what it brings.
system='linux-vdso|ld-linux|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+|mpi|open-rte|open-pal|hwloc|event_core|event_pthreads|udev|cap|cublasLt|cublas|cudnn|nccl)\.|lib(event_core|event_pthreads)-'
foreign=$(ldd "$root/bin/weft" | grep -vF "$root" | grep -vF "bin/../lib" | grep -vE "$system" || true)
if [ -n "$foreign" ]; then
  echo "not in the archive:"
  echo "$foreign"
  exit 1
fi
