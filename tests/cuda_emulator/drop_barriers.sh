#!/usr/bin/env bash
# Takes away one barrier of the CUDA kernels after the other and wants a test to fail each time:
# drop_barriers.sh SOURCES REPORTS PROGRAM
#
# PROGRAM is an emulated test program whose report is in REPORTS. A barrier that nobody misses is not needed, or its
# tests are too weak; one that no test meets is not tested at all.
set -euo pipefail
sources=$1
reports=$2
program=$3
unset WEFT_KERNEL_REPORT
shopt -s nullglob
tables=("$reports/$(basename "$program")".*.tsv)
[ ${#tables[@]} -gt 0 ] || { echo "$(basename "$program") has left no report in $reports" >&2; exit 1; }

output=$(mktemp)
trap 'rm -f "$output"' EXIT
# "site seconds test", the quickest tests of a site first.
met=$(awk -F '\t' '$1 == "barrier" { sub(/.*core\/backend\/cuda\//, "core/backend/cuda/", $2); print $2, $6, $5 }' \
  "${tables[@]}" | sort -k1,1 -k2,2n)
wrong=0
while read -r site; do
  tests=$(awk -v site="$site" '$1 == site { print $3 }' <<<"$met")
  if [ -z "$tests" ]; then
    echo "error: no test of $(basename "$program") meets the barrier $site"
    wrong=1
    continue
  fi
  caught=""
  for test in $tests; do
    if ! { CUDA_EMULATOR_DROP_BARRIER=$site timeout 120 "$program" --gtest_filter="$test" --gtest_brief=1; } \
      >"$output" 2>&1; then
      caught=$test
      break
    fi
  done
  if [ -n "$caught" ]; then
    echo "$site: $caught fails without it"
    grep -m 1 'CUDA emulator:' "$output" | sed 's/^/    /' || true
  else
    echo "error: $site: nobody misses this barrier: ${tests//$'\n'/ }"
    wrong=1
  fi
done < <(cd "$sources" && grep -nE '^[^/]*__sync(threads|warp)[a-z_]*\(' core/backend/cuda/*.cu core/backend/cuda/*.cuh |
  cut -d: -f1,2)
exit $wrong
