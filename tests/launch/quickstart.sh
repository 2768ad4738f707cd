#!/usr/bin/env bash
# launch/quickstart.sh with few steps on a small text, and what it says to try next: quickstart.sh REPOSITORY WEFT
#
# It runs in a folder of its own, where packages are installed and the program is built already.
set -euo pipefail
repository=$(realpath "${1:?usage: quickstart.sh REPOSITORY WEFT}")
weft=$(realpath "${2:?usage: quickstart.sh REPOSITORY WEFT}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p stubs build/cpu/bin configs
cp -r "$repository/launch" launch
# Short documents, so that some are held out. What the file holds counts, not its name.
awk '{print} NR % 4 == 0 {print ""}' "$repository/tests/data/corpus/train.txt" >launch/quickstart/biographies.txt.xz
sed -E 's/steps: [0-9]+, global/steps: 12, global/; s/warmup_steps: [0-9]+/warmup_steps: 4/' \
  "$repository/configs/quickstart.yaml" >configs/quickstart.yaml
ln -s "$weft" build/cpu/bin/weft
for stub in stubs/cmake launch/install-packages.sh; do
  printf '#!/bin/sh\n' >$stub
  chmod +x $stub
done
export PATH="$work/stubs:$PATH"

fail() {
  echo "FAILED: $1" >&2
  cat log >&2
  exit 1
}
launch/quickstart.sh >log 2>&1 || fail "the first start: status $?"
for line in 'He was born in' '->.*%' 'before .*loss .*perplexity' 'after .*loss .*perplexity' \
  'checkpoints/step-00000012 .*Hugging Face'; do
  grep -qE -- "$line" log || fail "nothing about: $line"
done

# Three or more blanks divide a command from what is said about it.
mapfile -t commands < <(sed '1,/What to try next/d; s/^ *//; s/   .*//; s/train\.steps=[0-9]*/train.steps=14/' log)
[ ${#commands[@]} -ge 3 ] || fail "nothing to try next"
for command in "${commands[@]}"; do
  bash -c "$command" >tried 2>&1 || { cat tried >>log; fail "what to try next: $command"; }
done
[ -d runs/quickstart/checkpoints/step-00000014 ] || fail "training on left no checkpoint"

# A second start reuses what is there; a failing step is told.
launch/quickstart.sh >log 2>&1 || fail "the second start: status $?"
grep -q 'data/quickstart/tokenizer is there already' log || fail "the second start made the vocabulary again"
rm build/cpu/bin/weft
cat >build/cpu/bin/weft <<END
#!/usr/bin/env bash
if [ "\$1" = fill-mask ]; then
  echo "error: no masks today" >&2
  exit 1
fi
exec "$weft" "\$@"
END
chmod +x build/cpu/bin/weft
if launch/quickstart.sh >log 2>&1; then fail "a failing fill-mask passed"; fi
grep -q 'error: no masks today' log || fail "a failing fill-mask was not told"
echo "quickstart: ${#commands[@]} commands to try next ok"
