#!/usr/bin/env bash
# The list of kernels is printed, and fails, when every kernel is covered but a test has failed or the report is old:
# list_kernels_test.sh SOURCES
set -euo pipefail
sources=$1
here=$(dirname "${BASH_SOURCE[0]}")
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT

# A report in which every kernel was launched, and held against fp64: the list names the kernels.
printf 'waits\t0\n' >"$reports/all.1.tsv"
list=$("$here/list_kernels.sh" "$sources" "$reports" || true)
awk '$2 ~ /^core\/backend\/cuda/ { print "kernel\t" $1 "\t" $2 "\t1\t1\t1e-7\t1\t0\t0" }' <<<"$list" >"$reports/all.1.tsv"
"$here/list_kernels.sh" "$sources" "$reports" >/dev/null || { echo "error: a report without failures is refused"; exit 1; }

printf 'failure\tall\tSuite.Test\tin add_kernel: a fault\n' >>"$reports/all.1.tsv"
if list=$("$here/list_kernels.sh" "$sources" "$reports"); then
  echo "error: a failure is taken for success"
  exit 1
fi
grep -q '^add_kernel ' <<<"$list" || { echo "error: the list is not printed after a failure"; exit 1; }
grep -qx 'error: all: Suite.Test: in add_kernel: a fault' <<<"$list" || { echo "error: the failure is not told"; exit 1; }

touch -d 2001-01-01 "$reports/all.1.tsv"
if "$here/list_kernels.sh" "$sources" "$reports" >/dev/null 2>"$reports/said"; then
  echo "error: a report older than the kernels is taken for theirs"
  exit 1
fi
grep -q 'core/backend/cuda/.* is newer than .*ctest -L emulated' "$reports/said" || { echo "error: the age of a report is not told"; exit 1; }
