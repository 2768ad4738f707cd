#!/usr/bin/env bash
# Installs what the tests need, configures, builds and runs them: tests/run.sh [--fast] [--preset NAME] [CTEST OPTIONS]
#
# --fast runs the tests labelled fast only. --preset is cpu (default), asan or tsan. Everything else goes to ctest:
# -R REGEX, -L LABEL, -V ... Set WEFT_SKIP_INSTALL=1 to leave the machine's packages alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=cpu
ctest_options=()
while [ $# -gt 0 ]; do
  case $1 in
    --fast) ctest_options+=(-L '^fast$') ;;
    --preset)
      preset=${2:?--preset needs a name: cpu, asan, tsan}
      shift
      ;;
    -h | --help)
      sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    *) ctest_options+=("$1") ;;
  esac
  shift
done

[ "${WEFT_SKIP_INSTALL:-}" = 1 ] || launch/install-packages.sh build test
cmake --preset "$preset"
cmake --build --preset "$preset" --parallel "$(nproc)"
exec ctest --preset "$preset" "${ctest_options[@]}"
