#!/usr/bin/env bash
# Tests Weft on a machine with a GPU, which needs NVIDIA's driver and libraries and nothing else.
#
#   tests/gpu.sh pack    in the sources, on a machine with or without a GPU: builds, and makes the archive
#                        build/cuda/weft-gpu-tests-*.tar.gz (under 60 MB)
#   tests/gpu.sh archive BUILD-FOLDER    the archive alone, of a finished build
#   ./gpu.sh [RESULTS]   in the unpacked archive: runs everything; logs and figures into RESULTS (./results).
#                        BENCHMARK=1 also compares with PyTorch, LIMIT is the seconds a part may take (600)
#
# Status 0 when all passed, 1 when something failed, 77 when there is no GPU: then only the start was tried.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

archive() { # archive BUILD-FOLDER
  local build version name size
  if [ ! -x "$1/bin/gpu_test" ] || [ ! -x "$1/bin/parallel_test" ]; then
    echo "error: $1 is not a finished build with CUDA, with its tests: tests/gpu.sh pack makes one" >&2
    exit 1
  fi
  build=$(cd "$1" && pwd)
  version=$(git -C "$here" describe --always --dirty 2>/dev/null || echo unknown)
  name=weft-gpu-tests-$version-$(uname -m)
  (cd "$build" && cpack -G TGZ -D CPACK_PACKAGE_FILE_NAME="$name" \
    -D CPACK_INSTALL_CMAKE_PROJECTS="$build;weft;gpu_bundle;/") || exit 1
  size=$(stat -c %s "$build/$name.tar.gz")
  echo "$build/$name.tar.gz: $((size / 1000000)) MB"
  [ "$size" -lt 60000000 ] || { echo "error: the archive is larger than 60 MB" >&2; exit 1; }
}

pack() {
  cd "$here/.." || exit
  [ -f CMakePresets.json ] || { echo "error: pack is for the sources; here, ./gpu.sh runs the tests" >&2; exit 2; }
  [ "${WEFT_SKIP_INSTALL:-}" = 1 ] || launch/install-packages.sh build test || exit 1
  cmake --preset cuda -DWEFT_BUILD_BENCHMARKS=ON || exit 1
  cmake --build --preset cuda --parallel "$(nproc)" || exit 1
  archive build/cuda
}

case ${1:-} in
  pack)
    pack
    exit
    ;;
  archive)
    [ $# -eq 2 ] || { echo "usage: tests/gpu.sh archive BUILD-FOLDER" >&2; exit 2; }
    archive "$2"
    exit
    ;;
  -h | --help)
    sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac
[ -x "$here/bin/weft" ] || { echo "error: no $here/bin/weft: unpack the archive that tests/gpu.sh pack makes" >&2; exit 2; }

results=${1:-results}
mkdir -p "$results"
results=$(cd "$results" && pwd)
cd "$here" || exit

# Open MPI's libraries look for each other where they were installed once, or here.
export LD_LIBRARY_PATH=$here/lib/weft${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

# NVIDIA's libraries: the system's, the toolkit's, or those that a Python environment brought.
nvidia_folders() {
  printf '%s\n' /usr/local/cuda/lib64 /usr/local/cuda/lib
  python3 -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' 2>/dev/null |
    while read -r site; do find "$site/nvidia" -maxdepth 3 -type d -name lib 2>/dev/null; done
}
needs=$(ldd bin/weft 2>&1)
if [[ $needs == *GLIBC_*not\ found* ]]; then
  echo "error: this system's C library is too old for the archive: $(ldd --version | head -n 1); glibc 2.36 or later is needed" >&2
  exit 1
fi
if [[ $needs == *not\ found* ]]; then
  for folder in $(nvidia_folders); do LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$folder; done
fi
export PATH=$here/bin:$PATH OPAL_PREFIX=$here OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_plm=isolated  # one host: no ssh is needed
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export WEFT_TEST_DIR=$here/tests WEFT_TEST_BINARY=$here/bin/weft WEFT_TEST_DEVICE=cuda

failed=()
try() { # try NAME COMMAND...: a line with the verdict, the rest into a log
  local name=$1 start=$SECONDS verdict=ok
  shift
  timeout --kill-after=10 "${LIMIT:-600}" "$@" >"$results/$name.log" 2>&1 || verdict=FAILED
  printf '%-7s %-32s %4d s   %s\n' "$verdict" "$name" $((SECONDS - start)) "$(tail -n 1 "$results/$name.log")"
  [ $verdict = ok ] || failed+=("$name")
}

finish() {
  echo
  if [ ${#failed[@]} -eq 0 ]; then
    echo "all passed; logs in $results"
    exit 0
  fi
  for name in "${failed[@]}"; do
    echo "== $name"
    grep -E 'FAILED|Failure|error|Error' "$results/$name.log" | head -n 8
  done
  exit 1
}

try version weft --version
[ ${#failed[@]} -eq 0 ] || { cat "$results/version.log"; finish; }
try doctor weft doctor
found=$(weft doctor --json 2>/dev/null)
if [[ $found != *'"gpu":'* ]]; then
  cat "$results/doctor.log"
  [ ${#failed[@]} -eq 0 ] || finish
  echo "there is no GPU: nothing was tested"
  exit 77
fi
try doctor-rates weft doctor --gpu
cat "$results/doctor-rates.log"

# A process for each suite: after a kernel that faults, a process can use its GPU no more.
list=$(gpu_test --gtest_list_tests 2>"$results/suites.log")
suites=$(grep -E '^[A-Za-z_/0-9]+\.' <<<"$list" | grep -v 'OnCpu\.' | sort -u)
[ -n "$suites" ] || failed+=(suites)
for suite in $suites; do
  try "${suite%.}" gpu_test --gtest_filter="$suite*" --gtest_brief=1
done
for ranks in 1 2 4; do
  try "parallel-$ranks-ranks" mpirun -np $ranks --bind-to none "$here/bin/parallel_test" --gtest_brief=1
done
try training tests/launch/device_training.sh bin/weft tests/data/corpus/train.txt
cat "$results/training.log"
# Every family of kernels, without the cases that are large.
families='*AgreesWithFp64*:*Rows.*:Optim*:Reduce.*:Dropout.*:Elementwise*:CrossEntropy*'
left_out='*OnCpu*:*EveryTime*:*Large*:*Long*'
for family in ${families//:/ }; do
  gpu_test --gtest_list_tests --gtest_filter="$family-$left_out" | grep -q '^  ' ||
    { echo "error: no test of gpu_test is named $family" | tee "$results/families.log"; failed+=(families); }
done
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck synccheck; do
    try "sanitizer-$tool" compute-sanitizer --tool $tool --error-exitcode 1 \
      "$here/bin/gpu_test" --gtest_brief=1 --gtest_filter="$families-$left_out"
  done
else
  echo "compute-sanitizer is not installed: left out"
fi
if [ "${BENCHMARK:-}" = 1 ]; then
  LIMIT=1500 try benchmark benchmarks/gpu_vs_pytorch bin "$results/benchmark"
  cat "$results/benchmark.log"
fi
finish
