#!/usr/bin/env bash
# The archive for machines with a GPU unpacks anywhere and starts, with its own libraries: gpu_bundle.sh BUILD-FOLDER
set -euo pipefail
build=${1:?usage: gpu_bundle.sh BUILD-FOLDER}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$here/gpu.sh" archive "$build" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
archive=$(tail -n 1 "$scratch/log" | cut -d: -f1)
mkdir "$scratch/else where"
tar -xzf "$archive" -C "$scratch/else where"
rm "$archive"
root=$(echo "$scratch/else where"/weft-gpu-tests-*)

# What gpu.sh runs only where there is a GPU.
for program in tests/launch/device_training.sh benchmarks/gpu_vs_pytorch benchmarks/vs_pytorch/run.py; do
  [ -x "$root/$program" ] || { echo "$program cannot be executed in the archive"; exit 1; }
done
if [ -x "$build/bin/training_step" ]; then  # the archive of a build with benchmarks
  grep -oE '\$bin/[a-z_]+' "$root/benchmarks/gpu_vs_pytorch" | sort -u | while IFS=/ read -r _ program; do
    [ -x "$root/bin/$program" ] || { echo "the archive has no bin/$program, which gpu_vs_pytorch runs"; exit 1; }
  done
fi

status=0
"$root/gpu.sh" "$scratch/results" || status=$?
[ $status = 0 ] || [ $status = 77 ] || exit $status

# Nothing but the C run time and what NVIDIA's driver and toolkit bring comes from the machine.
system='linux-vdso|ld-linux|lib(c|m|dl|rt|pthread|resolv|util)\.so|lib(cuda|cublas|cublasLt|cudnn|nccl)\.so'
for program in "$root"/bin/*; do
  foreign=$(LD_LIBRARY_PATH=$root/lib/weft ldd "$program" | grep -vF "$root" | grep -vE "$system" || true)
  [ -z "$foreign" ] || { echo "${program##*/} needs what is not in the archive:"; echo "$foreign"; exit 1; }
done
