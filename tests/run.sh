#!/usr/bin/env bash
# Installs what the tests need, configures, builds and runs them: tests/run.sh [OPTION]... [CTEST OPTION]...
#
#   --fast             only the tests labelled fast
#   --preset NAME      cpu (default), cuda, asan or tsan
#   --programs PREFIX  build and run only the test programs whose names begin so: core_, core_text, parallel
#
# Everything else goes to ctest: -R REGEX, -L LABEL, -V ... WEFT_SKIP_INSTALL=1 leaves the machine's packages alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=cpu
programs=""
ctest_options=()
while [ $# -gt 0 ]; do
  case $1 in
    --fast) ctest_options+=(-L '^fast$') ;;
    --preset)
      preset=${2:?--preset needs a name: cpu, cuda, asan, tsan}
      shift
      ;;
    --programs)
      programs=${2:?--programs needs the beginning of a name, such as core_}
      shift
      ;;
    -h | --help)
      sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) ctest_options+=("$1") ;;
  esac
  shift
done

[ "${WEFT_SKIP_INSTALL:-}" = 1 ] || launch/install-packages.sh build test
cmake --preset "$preset"
targets=()
if [ -n "$programs" ]; then
  mapfile -t targets < <(ninja -C "build/$preset" -t targets all | sed -nE "s/^(${programs}[a-z_]*_test(_emulated)?): phony.*/\\1/p")
  [ ${#targets[@]} -gt 0 ] || { echo "error: no test program is named $programs" >&2; exit 2; }
  ctest_options+=(-R "^$programs")
fi
cmake --build --preset "$preset" --parallel "$(nproc)" ${targets:+--target "${targets[@]}"}
# A developer's remembered products (weft doctor --products) are not the tests'. Not before the build, whose ccache may
# have its folder there too.
export XDG_CACHE_HOME="$PWD/build/$preset/cache"
exec ctest --preset "$preset" "${ctest_options[@]}"
