#!/usr/bin/env bash
# Lists every CUDA kernel with its cases and its worst error against fp64, from the reports of the emulated test
# programs: list_kernels.sh SOURCES REPORTS
#
# Fails when a kernel of core/backend/cuda was never launched or never held against fp64, when a launch names none of
# them, and when a test has failed.
set -euo pipefail
sources=$1
reports=$2

cd "$sources"
shopt -s nullglob
files=(core/backend/cuda/*.cu core/backend/cuda/*.cuh)
# "name file" of every __global__ function; its name may stand on the next line.
declared=$(for file in "${files[@]}"; do
  tr '\n' ' ' <"$file" | grep -oE '__global__[^;{(]*(__launch_bounds__\([^)]*\)[^;{(]*)?\(' |
    sed -E "s|.*[^a-zA-Z0-9_]([a-zA-Z0-9_]+) *\($|\1 $file|" || true  # a file without kernels
done)
[ -n "$declared" ] || { echo "no kernel in core/backend/cuda" >&2; exit 1; }
tables=("$reports"/*.tsv)
[ ${#tables[@]} -gt 0 ] || { echo "no emulated program has left a report in $reports: ctest -L emulated first" >&2; exit 1; }
for table in "${tables[@]}"; do
  newer=$(find core/backend/cuda -type f -newer "$table" -print -quit)
  [ -z "$newer" ] || { echo "$newer is newer than $table: build, then ctest -L emulated" >&2; exit 1; }
done
echo "Of the run of $(date -r "${tables[0]}" '+%F %T'): $(basename -s .tsv "${tables[@]}" | sed 's/\.[0-9]*$//' | sort -u | xargs)"

awk -F '\t' -v declared="$declared" '
  BEGIN {
    n = split(declared, lines, "\n")
    for (i = 1; i <= n; ++i) { split(lines[i], field, " "); file[field[1]] = field[2]; names[i] = field[1] }
  }
  # An error counts for a kernel when few others ran before the check; of all programs, the fewest decide.
  $1 == "kernel" && $3 != "" {
    launches[$2] += $4; checks[$2] += $5; where[$2] = $3
    for (bits = 32; bits >= 16; bits -= 16) {
      error = bits == 32 ? $6 : $8; few = bits == 32 ? $7 : $9; k = $2 " " bits
      if (few > 0 && (!(k in among) || few < among[k])) { among[k] = few; worst[k] = error }
      else if (few > 0 && few == among[k] && error > worst[k]) worst[k] = error
    }
  }
  $1 == "failure" { wrong[++bad] = $2 ": " $3 ": " $4 }
  function shown(k) { return k in worst ? worst[k] : "-" }
  END {
    print "Worst errors against fp64, of results with 32 bits or more, and of results rounded to 16:"
    printf "%-40s %-45s %9s %7s  %-9s %s\n", "kernel", "file", "launches", "cases", "32 bits", "16 bits"
    for (i = 1; i <= n; ++i) {
      k = names[i]
      printf "%-40s %-45s %9d %7d  %-9s %s\n", k, file[k], launches[k], checks[k], shown(k " 32"), shown(k " 16")
      if (!launches[k]) wrong[++bad] = k " (" file[k] ") is never launched by a test"
      else if (!checks[k]) wrong[++bad] = k " (" file[k] ") is never held against fp64"
    }
    for (k in launches)
      if (!(k in file)) wrong[++bad] = k " is launched at " where[k] ", but is no kernel of core/backend/cuda"
    for (i = 1; i <= bad; ++i) print "error: " wrong[i]
    exit bad > 0
  }' "${tables[@]}"
