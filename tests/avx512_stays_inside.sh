#!/usr/bin/env bash
# No function that the linker may choose among several object files uses AVX-512, so that a CPU with AVX2 alone never
# meets one in its place: avx512_stays_inside.sh LIBRARY
#
# Those of a namespace avx512... are not looked at: files compiled for AVX2 have none of them.
set -euo pipefail
library=${1:?usage: avx512_stays_inside.sh LIBRARY}

weak=$(mktemp)
trap 'rm -f "$weak"' EXIT
nm "$library" 2>/dev/null | awk '$2 == "W" || $2 == "V" { print $3 }' | sort -u >"$weak"

# "inside" counts the functions that may use it: a check that sees none of these sees nothing.
# In 64-bit code the byte 62 begins the instructions that AVX-512 brought, whatever their registers; masks move by others.
objdump --disassemble --wide "$library" | awk -v weak="$weak" '
  BEGIN { while ((getline name <weak) > 0) is_weak[name] = 1 }
  /^[0-9a-f]+ <.*>:$/ { name = substr($2, 2, length($2) - 3); next }
  /^ *[0-9a-f]+:\t62 |%k[0-7]/ {
    if (!(name in seen)) { seen[name] = 1; if (name in is_weak && name !~ /[0-9]avx512/) wrong[++bad] = name; else ++inside }
  }
  END {
    if (!inside) { print "no function uses AVX-512"; exit 1 }
    print inside " functions may use AVX-512"
    for (i = 1; i <= bad; ++i) print "error: " wrong[i] " uses AVX-512, and the linker may take it for other files"
    exit bad > 0
  }' | c++filt
